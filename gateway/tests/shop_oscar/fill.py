"""Fills an empty database with a few products and a customer."""

from decimal import Decimal
from io import BytesIO

import django

django.setup()

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.contrib.sites.models import Site
from oscar.apps.address.models import Country
from oscar.apps.catalogue.categories import create_from_breadcrumbs
from oscar.apps.catalogue.models import Product, ProductClass, ProductImage
from oscar.apps.partner.models import Partner, StockRecord
from PIL import Image, ImageDraw, ImageFont

PRODUCTS = [
    ("The waiting room", 18000, 40, "#264653"),
    ("Queues in theory", 32000, 12, "#7f5539"),
    ("A river and its weirs", 24500, 300, "#0b7285"),
]


def cover(title, colour):
    """A book's, by its title."""
    picture = Image.new("RGB", (600, 840), colour)
    write = ImageDraw.Draw(picture)
    write.multiline_text((60, 90), title.replace(" ", "\n"), "white", ImageFont.load_default(80), spacing=24)
    file = BytesIO()
    picture.save(file, "PNG")
    return ContentFile(file.getvalue(), "cover.png")


Site.objects.update(domain="shop.test", name="Millrace Books")
for code, name in [("KR", "Korea"), ("GB", "United Kingdom")]:
    Country.objects.create(
        iso_3166_1_a2=code, printable_name=name, name=name, is_shipping_country=True
    )
partner = Partner.objects.create(name="Millrace")
books = ProductClass.objects.create(name="Book")
category = create_from_breadcrumbs("Books")
for number, (title, price, stock, colour) in enumerate(PRODUCTS, start=1):
    product = Product.objects.create(title=title, slug=f"book-{number}", product_class=books, upc=str(number))
    product.categories.add(category)
    ProductImage.objects.create(product=product, original=cover(title, colour))
    StockRecord.objects.create(
        product=product, partner=partner, partner_sku=str(number), price=Decimal(price),
        price_currency="KRW", num_in_stock=stock,
    )
User.objects.create_user("kim", "kim@example.com", "waiting-1")
