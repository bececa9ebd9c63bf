import com.alibaba.nacos.api.naming.NamingService;

/** What 3.x can do beyond all others. */
final class Extra {
    private Extra() {}

    static void steps(NamingService publisher, NamingService subscriber, NamingService third) throws Exception {
        Batch.steps(publisher, third);
        Fuzzy.steps(publisher, subscriber);
        Maintainer.steps(third);
    }
}
