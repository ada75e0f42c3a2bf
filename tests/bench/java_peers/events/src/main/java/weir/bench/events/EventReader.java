package weir.bench.events;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;

/** Reads the workload's JSON token by token, which is Jackson's fastest way, and applies the profiles' filters. */
public final class EventReader {
    private final JsonFactory factory = new JsonFactory();

    /** Fills {@code event} from one record's value. */
    public void read(byte[] json, UsageEvent event) throws IOException {
        event.bytes = UsageEvent.NONE;
        try (JsonParser parser = factory.createParser(json)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                switch (name) {
                    case "account_id" -> event.account = parser.getText();
                    case "idempotency_key" -> event.key = parser.getText();
                    case "timestamp" -> event.timestampUs = parser.getLongValue();
                    case "properties" -> event.bytes = bytes(parser);
                    default -> parser.skipChildren();
                }
            }
        }
    }

    private static long bytes(JsonParser parser) throws IOException {
        boolean counts = false;
        long amount = UsageEvent.NONE;
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            parser.nextToken();
            switch (name) {
                case "country" -> counts = "USA".equals(parser.getText());
                case "n" -> amount = parser.getLongValue();
                default -> parser.skipChildren();
            }
        }
        return counts ? amount : UsageEvent.NONE;
    }
}
