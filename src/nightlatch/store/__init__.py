"""The database: tables, queries and units of work. SQL is written here and nowhere else."""
