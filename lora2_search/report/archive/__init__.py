"""Reports that can be recomputed: archives and the ledger of claims."""
