import com.alibaba.nacos.api.model.Page;
import com.alibaba.nacos.api.naming.NamingService;
import com.alibaba.nacos.api.naming.pojo.Instance;
import com.alibaba.nacos.api.naming.pojo.Service;
import com.alibaba.nacos.api.naming.pojo.maintainer.ServiceDetailInfo;
import com.alibaba.nacos.api.naming.pojo.maintainer.ServiceView;
import com.alibaba.nacos.maintainer.client.naming.NamingMaintainerFactory;
import com.alibaba.nacos.maintainer.client.naming.NamingMaintainerService;
import java.util.List;

/** The operator's client of 3.x, which speaks HTTP to {@code /nacos/v3/admin}. */
final class Maintainer {
    private static final String NAMESPACE = "public";

    private Maintainer() {}

    static void steps(NamingService third) throws Exception {
        String name = "compat-maintained-" + Clients.RUN;
        NamingMaintainerService maintainer = NamingMaintainerFactory.createNamingMaintainerService(Clients.properties(Clients.NODES));
        Service service = new Service();
        service.setNamespaceId(NAMESPACE);
        service.setGroupName(Clients.GROUP);
        service.setName(name);
        service.setEphemeral(true);
        Watch watch = new Watch(third, name, Clients.GROUP);
        Instance instance = Clients.instance(65);
        boolean there = Report.run("maintainer_register", () -> {
            double ms = watch.told("the instance", () -> maintainer.registerInstance(service, instance),
                    hosts -> Watch.has(hosts, Clients.PORT + 65));
            return new Report.Outcome(ms, "by the admin API, told by gRPC on another node");
        });
        if (there) {
            Report.run("maintainer_list", () -> {
                List<Instance> found = maintainer.listInstances(service, "DEFAULT", false);
                Report.check(found.size() == 1 && found.get(0).getPort() == Clients.PORT + 65, "instances are " + found);
                Page<ServiceView> page = maintainer.listServices(NAMESPACE, Clients.GROUP, name, true, 1, 10);
                Report.check(page.getTotalCount() == 1 && page.getPageItems().get(0).getName().equals(name), "services are " + page.getPageItems());
                Report.check(page.getPageItems().get(0).getIpCount() == 1, "counts " + page.getPageItems().get(0).getIpCount());
                ServiceDetailInfo detail = maintainer.getServiceDetail(service);
                Report.check(detail.getServiceName().equals(name), "the service is " + detail.getServiceName());
                return null;
            });
            Report.run("maintainer_update", () -> {
                instance.setWeight(2.5);
                double ms = watch.told("the weight", () -> maintainer.updateInstance(service, instance),
                        hosts -> hosts.size() == 1 && hosts.get(0).getWeight() == 2.5);
                return new Report.Outcome(ms, "a weight, told on another node");
            });
            Report.run("maintainer_deregister", () -> {
                double ms = watch.told("gone", () -> maintainer.deregisterInstance(service, instance), List::isEmpty);
                return new Report.Outcome(ms, "told on another node");
            });
        }
        String made = name + "-made";
        Report.run("maintainer_service", () -> {
            maintainer.createService(NAMESPACE, Clients.GROUP, made, false, 0.3f);
            Report.eventually("the service", 5000, () -> {
                Page<ServiceView> page = maintainer.listServices(NAMESPACE, Clients.GROUP, made, false, 1, 10);
                return page.getTotalCount() == 1 && page.getPageItems().get(0).getName().equals(made);
            });
            maintainer.removeService(NAMESPACE, Clients.GROUP, made);
            Report.eventually("no service", 5000,
                    () -> maintainer.listServices(NAMESPACE, Clients.GROUP, made, false, 1, 10).getTotalCount() == 0);
            return "made, listed, removed";
        });
    }
}
