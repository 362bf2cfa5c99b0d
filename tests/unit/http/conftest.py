"""Makes the fakes importable from the folders below."""
