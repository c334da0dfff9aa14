# The first act of a job: a queue entry that finds another's claim on its name leaves without touching a task. So does
# one whose script is not in the folder: the step was rewound, and the folder is another batch's.
DPGEN2_HPC_JOB=@NAME@; export DPGEN2_HPC_JOB
DPGEN2_HPC_ROOT=@ROOT@
cd "$DPGEN2_HPC_ROOT" || exit 1
dpgen2_hpc_id=@ID@
unset DPGEN2_HPC_SUBMIT
[ -e "jobs/$DPGEN2_HPC_JOB.sub" ] || exit 0
dpgen2_hpc_boot=$(cat /proc/sys/kernel/random/boot_id 2> /dev/null || echo -)
dpgen2_hpc_space=$(readlink /proc/self/ns/pid || echo -)
printf '%s %s %s %s\n' "$dpgen2_hpc_id" "$(uname -n)" "$dpgen2_hpc_boot" "$dpgen2_hpc_space" \
    > "jobs/.claim.$DPGEN2_HPC_JOB.$$" || exit 1
if ln "jobs/.claim.$DPGEN2_HPC_JOB.$$" "jobs/$DPGEN2_HPC_JOB.claim" 2> /dev/null; then
    rm -f "jobs/.claim.$DPGEN2_HPC_JOB.$$"
else
    rm -f "jobs/.claim.$DPGEN2_HPC_JOB.$$"
    exit 0
fi

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
