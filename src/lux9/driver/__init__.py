"""The library that a driver is written with.

    async def main(env: Environment) -> None:
        with env.function() as function:                 # claimed, released at the end
            regs = HBA(function.bar(5))                  # windows: writes posted, reads collect them
            buffer = function.dma(4096)                  # .view here, .bus for the device
            irq = function.interrupt(handler)            # acknowledged when the handler returns
            function.master(True)
            await env.serve(Files())                     # until the kernel goes

    if __name__ == "__main__":
        run(main)

`Function` is a protocol: a driver takes one, and knows neither 9P nor the machine.
"""

from .environment import Environment, run
from .function import Bar, Dma, Function, Irq
from .poll import Spinner, settle
from .pool import Pool

__all__ = ["Bar", "Dma", "Environment", "Function", "Irq", "Pool", "Spinner", "run", "settle"]
