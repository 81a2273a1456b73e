import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Base64;

/** Java's own client, told nothing but who it is: where the proxy and the authority are, its start was told. */
class UseHttpClient {
    public static void main(String[] arguments) throws Exception {
        var who = System.getenv("CLOAKROOM_WORKLOAD") + ":" + System.getenv("CLOAKROOM_KEY");
        var basic = "Basic " + Base64.getEncoder().encodeToString(who.getBytes());
        for (var path : new String[] {"/v1/whoami", "/v1/other"}) {
            var request = HttpRequest.newBuilder(URI.create(System.getenv("DESTINATION") + path))
                .header("Proxy-Authorization", basic)
                .header("Authorization", "Bearer " + System.getenv("THE_KEY")).build();
            var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString());
            var code = answer.body().replaceAll("(?s).*\"code\":\"([a-z-]+)\".*", " $1");
            System.out.println(answer.statusCode() + (answer.statusCode() == 200 ? "" : code));
        }
    }
}
