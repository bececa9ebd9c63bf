import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.EventListener;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;

/** A subscription: what its last callback said, when the awaited one came, and which ports a callback ever left out again. */
final class Watch {
    interface Change {
        void make() throws Exception;
    }

    volatile List<Instance> hosts = Collections.emptyList();
    volatile int calls;
    final Set<Integer> shrunk = Collections.synchronizedSet(new HashSet<>());
    private final NamingService client;
    private final String service;
    private final String group;
    private final List<String> clusters;
    private final EventListener listener = event -> called(((NamingEvent) event).getInstances());
    private Predicate<List<Instance>> wanted;
    private volatile long toldNanos;

    Watch(NamingService client, String service, String group, String... clusters) throws Exception {
        this.client = client;
        this.service = service;
        this.group = group;
        this.clusters = Arrays.asList(clusters);
        client.subscribe(service, group, this.clusters, listener);
    }

    void unsubscribe() throws Exception {
        client.unsubscribe(service, group, clusters, listener);
    }

    private synchronized void called(List<Instance> now) {
        for (Instance old : hosts) {
            if (!has(now, old.getPort())) {
                shrunk.add(old.getPort());
            }
        }
        hosts = now;
        calls++;
        if (wanted != null && wanted.test(now)) {
            toldNanos = System.nanoTime();
            wanted = null;
        }
    }

    /** From the publisher's call to the subscriber's callback, in milliseconds. */
    double told(String what, Change change, Predicate<List<Instance>> wanted) throws Exception {
        toldNanos = 0;
        synchronized (this) {
            this.wanted = wanted;
        }
        long start = System.nanoTime();
        change.make();
        Report.eventually(what, 15000, () -> toldNanos != 0);
        return (toldNanos - start) / 1e6;
    }

    boolean has(int port) {
        return has(hosts, port);
    }

    static boolean has(List<Instance> hosts, int port) {
        return hosts.stream().anyMatch(host -> host.getPort() == port);
    }
}
