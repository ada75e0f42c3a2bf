package weir.bench.flink;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import weir.bench.events.UsageEvent;

/** Rows of the peers' table in ClickHouse's RowBinary, sent by one HTTP request. */
final class RowBlock {
    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final URI uri;
    private final ByteArrayOutputStream out = new ByteArrayOutputStream(1 << 22);
    private int rows;

    RowBlock() {
        String sql = "INSERT INTO " + System.getenv("BENCH_TABLE") + " FORMAT RowBinary";
        uri = URI.create("http://127.0.0.1:" + System.getenv("BENCH_CLICKHOUSE") + "/?query="
                + URLEncoder.encode(sql, StandardCharsets.UTF_8));
    }

    int rows() {
        return rows;
    }

    void add(String account, String key, long timestampUs, long bytes) {
        text(account);
        text(key);
        number(timestampUs);
        out.write(1);
        boolean counts = bytes != UsageEvent.NONE;
        // A nullable column: whether it is null, and the value where it is not.
        out.write(counts ? 0 : 1);
        if (counts) {
            number(bytes);
        }
        rows++;
    }

    /** Sends what has gathered and waits for the answer. */
    void insert() throws IOException, InterruptedException {
        if (rows == 0) {
            return;
        }
        HttpRequest request = HttpRequest.newBuilder(uri)
                .header("X-ClickHouse-User", "default")
                .header("X-ClickHouse-Key", System.getenv("WEIR_CLICKHOUSE_PASSWORD"))
                .POST(HttpRequest.BodyPublishers.ofByteArray(out.toByteArray()))
                .build();
        HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IOException("ClickHouse refused " + rows + " rows: " + answer.body());
        }
        out.reset();
        rows = 0;
    }

    private void text(String value) {
        byte[] encoded = value.getBytes(StandardCharsets.UTF_8);
        int rest = encoded.length;
        for (; rest > 0x7f; rest >>>= 7) {
            out.write(rest & 0x7f | 0x80);
        }
        out.write(rest);
        out.write(encoded, 0, encoded.length);
    }

    private void number(long value) {
        for (int shift = 0; shift < 64; shift += 8) {
            out.write((int) (value >>> shift));
        }
    }
}
