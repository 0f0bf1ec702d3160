"""Payment on the page of another site."""

from urllib.parse import urlencode

from django.core import signing
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from oscar.apps.checkout import views
from oscar.apps.order.models import Order
from oscar.apps.payment.exceptions import RedirectRequired
from oscar.apps.payment.models import Source, SourceType


class PaymentDetailsView(views.PaymentDetailsView):
    def handle_payment(self, order_number, total, **kwargs):
        address = self.request.build_absolute_uri
        order = {"order": order_number, "total": total.incl_tax, "back": address(reverse("checkout:paid"))}
        raise RedirectRequired(address("/pay/").replace("//shop.", "//pay.", 1) + "?" + urlencode(order))


@csrf_exempt
def paid(request):
    """Where the payment page sends people back to, from its site and by POST.

    The session's cookie does not come with that; it comes when the browser asks again by itself.
    """
    if request.method == "POST":
        return redirect(request.path + "?" + urlencode({"paid": request.POST["paid"]}))
    return PaidView.as_view()(request)


class PaidView(views.PaymentDetailsView):
    """Places the order that was paid for, once."""

    def get_pre_conditions(self, request):
        return []

    get_skip_conditions = get_pre_conditions

    def get(self, request):
        order = signing.loads(request.GET["paid"], salt="payment")
        if Order.objects.filter(number=order).exists():
            return redirect("checkout:thank-you")
        basket = self.get_submitted_basket()
        basket.strategy = request.strategy
        submission = self.build_submission(basket=basket)
        del submission["payment_kwargs"]
        self.add_payment_source(self.source(order, submission["order_total"].incl_tax))
        return self.handle_order_placement(order, **submission.pop("order_kwargs"), **submission)

    def source(self, order, total):
        kind, _ = SourceType.objects.get_or_create(name="Sandbox Pay")
        return Source(source_type=kind, amount_allocated=total, amount_debited=total, reference=order)
