package weir.bench.streams;

import java.util.Map;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.rocksdb.Options;

/** Write buffers four times the default, so that the store of all keys is compacted less often. */
public final class LargerBuffers implements RocksDBConfigSetter {
    @Override
    public void setConfig(String store, Options options, Map<String, Object> configs) {
        options.setWriteBufferSize(64L << 20);
    }

    @Override
    public void close(String store, Options options) {}
}
