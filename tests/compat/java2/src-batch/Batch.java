import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Several instances of one service on one connection, which versions from 2.2 on can have. */
final class Batch {
    private static final int LARGE = 1000;

    private Batch() {}

    static void steps(NamingService publisher, NamingService third) throws Exception {
        String service = "compat-java2-batch-" + Clients.RUN;
        Watch watch = new Watch(third, service, Clients.GROUP);
        boolean there = Report.run("batch_register", () -> {
            List<Instance> three = Arrays.asList(Clients.instance(40), Clients.instance(41), Clients.instance(42));
            double ms = watch.told("three instances", () -> publisher.batchRegisterInstance(service, Clients.GROUP, three), hosts ->
                    hosts.size() == 3 && Watch.has(hosts, Clients.PORT + 40) && Watch.has(hosts, Clients.PORT + 42));
            return new Report.Outcome(ms, "three at once, told on another node");
        });
        if (there) {
            Report.run("batch_deregister", () -> {
                double ms = watch.told("two fewer", () -> publisher.batchDeregisterInstance(service, Clients.GROUP,
                        Arrays.asList(Clients.instance(40), Clients.instance(42))), hosts -> hosts.size() == 1);
                Report.check(watch.has(Clients.PORT + 41), "another one is left: " + watch.hosts);
                publisher.batchDeregisterInstance(service, Clients.GROUP, Arrays.asList(Clients.instance(41)));
                Report.eventually("the last one gone too", 5000, () -> watch.hosts.isEmpty());
                return new Report.Outcome(ms, "two of three, then the last");
            });
        }
        large(publisher, third);
    }

    private static void large(NamingService publisher, NamingService third) throws Exception {
        String service = "compat-java2-large-" + Clients.RUN;
        Watch watch = new Watch(third, service, Clients.GROUP);
        Report.run("large_list", () -> {
            List<Instance> many = new ArrayList<>();
            for (int number = 0; number < LARGE; number++) {
                Instance instance = Clients.instance(43);
                instance.setIp("10.77." + number / 250 + "." + (1 + number % 250));
                instance.setMetadata(Clients.map("number", String.valueOf(number), "zone", "a"));
                many.add(instance);
            }
            double ms = watch.told("a thousand instances", () -> publisher.batchRegisterInstance(service, Clients.GROUP, many),
                    hosts -> hosts.size() == LARGE);
            Report.check(Clients.list(third, service).size() == LARGE, "asked, a node lists another number");
            double gone = watch.told("none", () -> publisher.batchDeregisterInstance(service, Clients.GROUP, many), List::isEmpty);
            return new Report.Outcome(ms, LARGE + " in one batch, told on another node; all gone again in " + Math.round(gone) + " ms");
        });
    }
}
