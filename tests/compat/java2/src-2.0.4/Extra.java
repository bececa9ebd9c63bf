import com.alibaba.nacos.api.naming.NamingService;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** What 2.0.x has to have of its own: it has no batch, and one record a service on its connection, so a large list comes by HTTP. */
final class Extra {
    private static final int LARGE = 1000;

    private Extra() {}

    static void steps(NamingService publisher, NamingService subscriber, NamingService third) throws Exception {
        String service = "compat-java2-large-" + Clients.RUN;
        Watch watch = new Watch(third, service, Clients.GROUP);
        Report.run("large_list", () -> {
            double ms = watch.told("a thousand instances", () -> fill(service), hosts -> hosts.size() == LARGE);
            Report.check(Clients.list(subscriber, service).size() == LARGE, "asked, a node lists another number");
            return new Report.Outcome(ms, LARGE + " instances registered by HTTP v1, one by one, told by gRPC on another node");
        });
    }

    private static void fill(String service) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            List<Future<Integer>> answers = new ArrayList<>();
            for (int number = 0; number < LARGE; number++) {
                String query = "serviceName=" + Clients.GROUP + "@@" + service + "&ip=10.77." + number / 250 + "." + (1 + number % 250) + "&port=80";
                Callable<Integer> post = () -> {
                    URL url = new URL("http://" + Clients.NODES[0] + "/nacos/v1/ns/instance?" + query);
                    HttpURLConnection call = (HttpURLConnection) url.openConnection();
                    call.setRequestMethod("POST");
                    call.setDoOutput(true);
                    call.getOutputStream().close();
                    int status = call.getResponseCode();
                    // Read to its end, so that the connection serves the next one.
                    (status < 400 ? call.getInputStream() : call.getErrorStream()).readAllBytes();
                    return status;
                };
                answers.add(threads.submit(post));
            }
            for (Future<Integer> answer : answers) {
                Report.check(answer.get() == 200, "HTTP " + answer.get());
            }
        } finally {
            threads.shutdown();
        }
    }

    /** Nothing of its own has to outlive a move. */
    static final class Following {
        Following(String kind, Map<String, NamingService> subscribers) {}

        void goesOn(String gone, NamingService survivor) {}
    }
}
