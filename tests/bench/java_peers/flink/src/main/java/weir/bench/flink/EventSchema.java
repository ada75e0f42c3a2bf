package weir.bench.flink;

import java.io.IOException;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.java.tuple.Tuple4;
import weir.bench.events.EventReader;
import weir.bench.events.UsageEvent;

/** JSON to a tuple. */
final class EventSchema extends AbstractDeserializationSchema<Tuple4<String, String, Long, Long>> {
    private static final long serialVersionUID = 1;

    private transient EventReader reader;
    private transient UsageEvent event;

    EventSchema() {
        super(FlinkPeer.EVENT);
    }

    @Override
    public void open(InitializationContext context) {
        reader = new EventReader();
        event = new UsageEvent();
    }

    @Override
    public Tuple4<String, String, Long, Long> deserialize(byte[] json) throws IOException {
        reader.read(json, event);
        return Tuple4.of(event.account, event.key, event.timestampUs, event.bytes);
    }
}
