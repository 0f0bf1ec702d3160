"""Django for HTTP, and a few lines for the WebSocket of a product page."""

import asyncio
import json

import django

django.setup()

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.handlers.asgi import ASGIHandler
from oscar.apps.partner.models import StockRecord

http = ASGIStaticFilesHandler(ASGIHandler())


async def application(scope, receive, send):
    if scope["type"] == "http":
        return await http(scope, receive, send)
    if scope["type"] == "websocket":
        return await stock(int(scope["path"].removeprefix("/ws/stock/")), receive, send)


async def stock(product, receive, send):
    """Tells how many there are whenever it is asked, and by itself every second."""
    await receive()
    await send({"type": "websocket.accept"})
    asked = asyncio.create_task(receive())
    while True:
        record = await StockRecord.objects.aget(product_id=product)
        await send({"type": "websocket.send", "text": json.dumps({"left": record.net_stock_level})})
        await asyncio.wait([asked], timeout=1)
        if asked.done():
            if asked.result()["type"] == "websocket.disconnect":
                return
            asked = asyncio.create_task(receive())
