import com.alibaba.nacos.api.naming.NamingService;
import java.util.Map;

/** What 2.4.x can do beyond all others. */
final class Extra {
    private Extra() {}

    static void steps(NamingService publisher, NamingService subscriber, NamingService third) throws Exception {
        Batch.steps(publisher, third);
    }

    /** Nothing of its own has to outlive a move. */
    static final class Following {
        Following(String kind, Map<String, NamingService> subscribers) {}

        void goesOn(String gone, NamingService survivor) {}
    }
}
