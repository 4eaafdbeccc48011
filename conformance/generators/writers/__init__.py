"""Writers of packages, of manifests in the compact form, and of the file form."""
