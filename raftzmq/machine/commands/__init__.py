"""What clients may ask of the state: a row of the table for each operation, a file a subject."""
