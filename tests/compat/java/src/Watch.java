import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;

/** What the last callback said, when the awaited one came, and which ports a callback ever left out again. */
final class Watch {
    interface Change {
        void make() throws Exception;
    }

    volatile List<Instance> hosts = Collections.emptyList();
    final Set<Integer> shrunk = Collections.synchronizedSet(new HashSet<>());
    private Predicate<List<Instance>> wanted;
    private volatile long toldNanos;

    Watch(NamingService client, String service, String group) throws Exception {
        client.subscribe(service, group, event -> called(((NamingEvent) event).getInstances()));
    }

    private synchronized void called(List<Instance> now) {
        for (Instance old : hosts) {
            if (now.stream().noneMatch(host -> host.getPort() == old.getPort())) {
                shrunk.add(old.getPort());
            }
        }
        hosts = now;
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
