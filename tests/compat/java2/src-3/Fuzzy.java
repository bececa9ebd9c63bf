import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.AbstractFuzzyWatchEventWatcher;
import com.alibaba.nacos.api.naming.listener.FuzzyWatchChangeEvent;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/** Watching for services by a pattern of their names. */
final class Fuzzy {
    private static final String GROUP = Clients.GROUP;

    private Fuzzy() {}

    /** By service and kind of change, the moment of the first event. */
    static final class Events extends AbstractFuzzyWatchEventWatcher {
        final Map<String, Long> seen = new ConcurrentHashMap<>();

        @Override
        public void onEvent(FuzzyWatchChangeEvent event) {
            seen.putIfAbsent(event.getChangeType() + " " + event.getServiceName(), System.nanoTime());
        }

        double after(String what, long start) throws Exception {
            Report.eventually(what, 10000, () -> seen.containsKey(what));
            return (seen.get(what) - start) / 1e6;
        }
    }

    static void steps(NamingService publisher, NamingService subscriber) throws Exception {
        String family = "compat-fuzzy-" + Clients.RUN + "-";
        Events events = new Events();
        boolean standing = Report.run("fuzzy_watch_init", () -> {
            publisher.registerInstance(family + "old", GROUP, Clients.instance(60));
            Report.eventually("listed", 5000, () -> Clients.listed(subscriber, family + "old", 60));
            long start = System.nanoTime();
            List<String> keys = subscriber.fuzzyWatchWithServiceKeys(family + "*", GROUP, events).get(10, TimeUnit.SECONDS).getData();
            Report.check(keys.size() == 1 && keys.get(0).endsWith(family + "old"), "the services at first are " + keys);
            events.after("ADD_SERVICE " + family + "old", start);
            return new Report.Outcome(Report.since(start), "the service that is there, told as " + keys.get(0));
        });
        if (!standing) {
            return;
        }
        Report.run("fuzzy_watch_add", () -> {
            publisher.registerInstance("compat-other-" + Clients.RUN, GROUP, Clients.instance(62));
            long start = System.nanoTime();
            publisher.registerInstance(family + "new", GROUP, Clients.instance(61));
            double ms = events.after("ADD_SERVICE " + family + "new", start);
            Report.check(events.seen.keySet().stream().allMatch(event -> event.contains(family)), "told of " + events.seen.keySet());
            return new Report.Outcome(ms, "a new service, made on another node");
        });
        Report.run("fuzzy_watch_delete", () -> {
            long start = System.nanoTime();
            publisher.deregisterInstance(family + "new", GROUP, Clients.instance(61));
            return new Report.Outcome(events.after("DELETE_SERVICE " + family + "new", start), "its last instance left, on another node");
        });
        Report.run("fuzzy_watch_cancel", () -> {
            subscriber.cancelFuzzyWatch(family + "*", GROUP, events);
            // Cancelling is sent by a thread of the client's own.
            Thread.sleep(1500);
            publisher.registerInstance(family + "late", GROUP, Clients.instance(63));
            Thread.sleep(2000);
            Report.check(!events.seen.containsKey("ADD_SERVICE " + family + "late"), "told after it cancelled");
            return null;
        });
    }
}
