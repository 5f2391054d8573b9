"""What stands between a driver and the host.

Three levels: `none` is within the kernel's process, `process` a process of its own, `sandbox` a process that sees a
read-only system, no network and no other process, and may make only the calls that a driver needs. `host` finds
out what this host permits; `isolation` starts a driver at a level; `enter` is what runs first inside the sandbox.
"""
