# Varnish beside Weir: each document is a cached object, fetched once from the nginx that answers the
# same. What Varnish adds to an answer is taken away, so that all servers send the same bytes.
vcl 4.1;
@backends@

sub vcl_recv {
  @choices@
  # The cookie of a shopper who waits does not change the answer here.
  unset req.http.Cookie;
  return (hash);
}

sub vcl_hash {
  hash_data(local.socket);
  return (lookup);
}

sub vcl_backend_response {
  set beresp.uncacheable = false;
  set beresp.ttl = 1d;
  return (deliver);
}

sub vcl_deliver {
  unset resp.http.Age;
  unset resp.http.Via;
  unset resp.http.X-Varnish;
  unset resp.http.Accept-Ranges;
}
