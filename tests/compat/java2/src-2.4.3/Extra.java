import com.alibaba.nacos.api.naming.NamingService;

/** What 2.4.x can do beyond all others. */
final class Extra {
    private Extra() {}

    static void steps(NamingService publisher, NamingService subscriber, NamingService third) throws Exception {
        Batch.steps(publisher, third);
    }
}
