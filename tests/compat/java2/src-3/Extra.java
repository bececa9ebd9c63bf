import com.alibaba.nacos.api.naming.NamingService;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** What 3.x can do beyond all others. */
final class Extra {
    private Extra() {}

    static void steps(NamingService publisher, NamingService subscriber, NamingService third) throws Exception {
        Batch.steps(publisher, third);
        Fuzzy.steps(publisher, subscriber);
        Maintainer.steps(third);
    }

    /** Watches by pattern of the clients that may have to move: they go on as subscriptions do. */
    static final class Following {
        private final String kind;
        private final String family;
        private final Map<String, Fuzzy.Events> watching = new HashMap<>();

        Following(String kind, Map<String, NamingService> subscribers) throws Exception {
            this.kind = kind;
            this.family = "compat-" + kind + "-family-" + Clients.RUN + "-";
            for (Map.Entry<String, NamingService> subscriber : subscribers.entrySet()) {
                Fuzzy.Events events = new Fuzzy.Events();
                subscriber.getValue().fuzzyWatchWithServiceKeys(family + "*", Clients.GROUP, events).get(10, TimeUnit.SECONDS);
                watching.put(subscriber.getKey(), events);
            }
        }

        void goesOn(String gone, NamingService survivor) {
            Report.run(kind + "_fuzzy_watch", () -> {
                long start = System.nanoTime();
                survivor.registerInstance(family + "new", Clients.GROUP, Clients.instance(58));
                return new Report.Outcome(watching.get(gone).after("ADD_SERVICE " + family + "new", start), "a new service, told to who moved");
            });
        }
    }
}
