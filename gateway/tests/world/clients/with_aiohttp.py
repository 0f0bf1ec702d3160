# aiohttp. Its jar takes no cookies from hosts that are addresses.
import asyncio
import sys

import aiohttp


async def main():
    async with aiohttp.ClientSession() as session:
        while url := await asyncio.to_thread(sys.stdin.readline):
            async with session.get(url.strip()) as answer:
                print(answer.status, (await answer.text()).split("\n")[0], flush=True)


asyncio.run(main())
