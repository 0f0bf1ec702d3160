"""What the shop has beside Oscar's pages: an upload, and the page of the payment, which belongs to another site."""

from decimal import Decimal
from hashlib import sha256

from django.contrib.auth.decorators import login_required
from django.core import signing
from django.shortcuts import render


@login_required
def photo(request):
    """A photo of what was bought: a form of several parts, under CSRF protection."""
    file = request.FILES.get("photo")
    told = file and {"size": file.size, "digest": sha256(file.read()).hexdigest()}
    return render(request, "sandbox/photo.html", {"file": told})


def pay(request):
    """The payment page: sends whoever has paid back to the shop, by a form, as usual gateways do."""
    asked = request.GET
    paid = {"order": asked["order"], "paid": signing.dumps(asked["order"], salt="payment")}
    total = f"{Decimal(asked['total']):,.0f}"
    return render(request, "sandbox/pay.html", {"back": asked["back"], "total": total, "paid": paid})
