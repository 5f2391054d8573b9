"""Who may touch what, and the files by which they do: namespaces, processes, claims, audit, devices."""
