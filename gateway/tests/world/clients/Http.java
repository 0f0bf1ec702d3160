import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.CookieManager;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

/** Java's HttpClient, with the jar that is made for it. */
class Http {
    public static void main(String[] args) throws Exception {
        var client = HttpClient.newBuilder().cookieHandler(new CookieManager()).build();
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String url; (url = lines.readLine()) != null; ) {
            var answer = client.send(HttpRequest.newBuilder(URI.create(url)).build(), BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.body().split("\n")[0]);
        }
    }
}
