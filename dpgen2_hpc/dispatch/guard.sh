# The first act of a job: a queue entry that finds another's claim on its name leaves without touching a task. So does
# one whose script is not in the folder: the step was rewound, and the folder is another batch's.
DPGEN2_HPC_JOB=@NAME@; export DPGEN2_HPC_JOB
DPGEN2_HPC_ROOT=@ROOT@
cd "$DPGEN2_HPC_ROOT" || { echo "dpgen2-hpc: cannot enter the folder '$DPGEN2_HPC_ROOT' on $(uname -n)"; exit 1; }
dpgen2_hpc_id=@ID@
unset DPGEN2_HPC_SUBMIT
[ -e "jobs/$DPGEN2_HPC_JOB.sub" ] || { echo "dpgen2-hpc: the step was rewound or its folder replaced; nothing is run"; exit 0; }
dpgen2_hpc_boot=$(cat /proc/sys/kernel/random/boot_id 2> /dev/null || echo -)
dpgen2_hpc_space=$(readlink /proc/self/ns/pid || echo -)
dpgen2_hpc_claim="jobs/$DPGEN2_HPC_JOB.claim" dpgen2_hpc_own="jobs/.claim.$DPGEN2_HPC_JOB.$$"
printf '%s %s %s %s\n' "$dpgen2_hpc_id" "$(uname -n)" "$dpgen2_hpc_boot" "$dpgen2_hpc_space" > "$dpgen2_hpc_own" ||
    { echo "dpgen2-hpc: cannot write the claim '$PWD/$dpgen2_hpc_own' on $(uname -n)"; exit 1; }
# A link is made whole or not at all; NFS may report a link as failed that it has made. Where there are no hard links, a
# file that must be new does as well.
if ! ln "$dpgen2_hpc_own" "$dpgen2_hpc_claim" 2> /dev/null && ! [ "$dpgen2_hpc_own" -ef "$dpgen2_hpc_claim" ] &&
    ! ( set -C; cat "$dpgen2_hpc_own" > "$dpgen2_hpc_claim" ) 2> /dev/null; then
    rm -f "$dpgen2_hpc_own"
    if [ -e "$dpgen2_hpc_claim" ]; then
        echo "dpgen2-hpc: claimed by another queue entry ($(head -n 1 "$dpgen2_hpc_claim")); this one, $dpgen2_hpc_id, runs nothing"
        exit 0
    fi
    echo "dpgen2-hpc: cannot write the claim '$PWD/$dpgen2_hpc_claim' on $(uname -n)"
    exit 1
fi
rm -f "$dpgen2_hpc_own"

# dpgen2_hpc_run TASK ATTEMPT FOLDER COMMAND: run one task, unless its folder belongs to a newer attempt by now, and
# append a line with its exit code to the job's own file.
dpgen2_hpc_run() {
    cd "$DPGEN2_HPC_ROOT/$3" || return 0
    [ "$(cat attempt)" = "$2" ] || return 0
    set +e  # the site's lines may have set it, and a task that fails must tell its end
    dpgen2_hpc_start=$(date +%s)
    if [ -n "@TIMEOUT@" ]; then
        timeout -k 30 @TIMEOUT@ bash -c "$4"
    else
        ( eval "$4" )
    fi > task.log 2>&1 < /dev/null
    printf '%s %s %s %s\n' "$1" "$2" "$?" "$(($(date +%s) - dpgen2_hpc_start))" >> "$DPGEN2_HPC_ROOT/jobs/$DPGEN2_HPC_JOB.claim"
}
