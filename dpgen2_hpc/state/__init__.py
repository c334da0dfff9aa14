"""What is, and what is legal: the record, the ledger, results, paths and the lock."""
