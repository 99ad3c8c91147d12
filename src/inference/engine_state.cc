// Engine::save and Engine::restore: what a session holds to a file and back; layout in docs/formats.md.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "common/checked.h"
#include "common/cursor.h"
#include "common/error.h"
#include "common/file_reader.h"
#include "common/mapped_file.h"
#include "common/output_file.h"
#include "common/sha256.h"
#include "inference/engine.h"
#include "inference/engine_parts.h"

namespace bitnet {
namespace {

constexpr std::string_view magic = std::string_view("BNSTATE\0", 8);
constexpr std::uint32_t version = 1;  // one more whenever the layout, or the bits that the engine computes, change
constexpr std::size_t hash_digits = 64, head_bytes = 8 + 4 + 4 + hash_digits + 3 * 4 + 4 + 8;

static_assert(std::endian::native == std::endian::little, "pages are saved as they lie in memory");

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

const char* kv_name(std::uint32_t type) {
  constexpr std::array names = {"f32", "f16", "int8"};
  return type < names.size() ? names[type] : "unknown";
}

std::string head_of(const KvShape& shape, const std::string& hash, std::size_t ids) {
  std::string head(magic);
  append(head, version);
  append(head, static_cast<std::uint32_t>(shape.type));
  head += hash;
  for (const std::int64_t size : {shape.n_layer, shape.n_head_kv, shape.head_dim})
    append(head, static_cast<std::uint32_t>(size));
  append(head, std::uint32_t{0});
  append(head, static_cast<std::uint64_t>(ids));
  return head;
}

// Zeroes the positions of a page from `filled` on, so that equal sessions are saved as equal bytes.
void clear_rest(const KvShape& shape, std::byte* page, std::int64_t filled) {
  const auto element = static_cast<std::size_t>(shape.element_bytes());
  const auto first = static_cast<std::size_t>(filled), all = static_cast<std::size_t>(kv_chunk_positions);
  const auto head_dim = static_cast<std::size_t>(shape.head_dim);
  for (std::int64_t layer = 0; layer < shape.n_layer; ++layer) {
    for (std::int64_t head = 0; head < shape.n_head_kv; ++head) {
      const KvChunk chunk = shape.chunk(page, layer, head);
      for (std::size_t d = 0; d < head_dim; ++d)
        std::memset(chunk.keys + (d * all + first) * element, 0, (all - first) * element);
      std::memset(chunk.values + first * head_dim * element, 0, (all - first) * head_dim * element);
      if (chunk.key_scales == nullptr) continue;
      std::fill(chunk.key_scales + first, chunk.key_scales + all, 0.0f);
      std::fill(chunk.value_scales + first, chunk.value_scales + all, 0.0f);
    }
  }
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A state file from its start on; everything that is read goes into the checksum.
class StateReader {
 public:
  explicit StateReader(const std::string& path) : path_(path), file_(MappedFile::open(path)) {}

  std::uint64_t size() const { return file_.size(); }
  std::uint64_t at() const { return at_; }

  void read(std::span<std::byte> out) {
    if (out.size() > size() - at_) fail(ErrorKind::bad_model, "{}: ends at byte {}, within what it holds", name(), size());
    file_.read(at_, out);
    checksum_.update(out);
    at_ += out.size();
  }

  void check_sum() {
    const std::string expected = checksum_.hex();
    std::array<std::byte, hash_digits> digits;
    read(digits);
    if (text_of(digits) != expected)
      fail(ErrorKind::bad_model, "{}: is damaged: its checksum is not that of its bytes", name());
  }

  std::string name() const { return printable(path_, 512); }

 private:
  std::string path_;
  FileReader file_;
  Sha256 checksum_;
  std::uint64_t at_ = 0;
};

struct Head {
  std::uint32_t kv;
  std::string hash;
  std::array<std::uint32_t, 3> shape;  // layers, kv heads, their size
  std::uint64_t ids;
};

Head read_head(StateReader& file) {
  std::array<std::byte, head_bytes> bytes;
  if (file.size() < bytes.size())
    fail(ErrorKind::bad_model, "{}: has {} bytes, a saved state has more", file.name(), file.size());
  file.read(bytes);
  Cursor in(bytes, file.name());
  if (text_of(in.take(magic.size(), "magic")) != magic) fail(ErrorKind::bad_model, "{}: is no saved state", file.name());
  const auto its_version = in.number<std::uint32_t>("version");
  if (its_version != version)
    fail(ErrorKind::unsupported, "{}: has version {}, this build reads {}", file.name(), its_version, version);
  Head head;
  head.kv = in.number<std::uint32_t>("KV type");
  head.hash = text_of(in.take(hash_digits, "hash"));
  for (std::uint32_t& size : head.shape) size = in.number<std::uint32_t>("shape");
  if (in.number<std::uint32_t>("zero") != 0) in.fail("the reserved field is not 0");
  head.ids = in.number<std::uint64_t>("ids");
  return head;
}

}  // namespace

const std::string& Engine::model_hash() {
  if (!parts_->hash.empty()) return parts_->hash;
  std::vector<std::string> digests;
  std::vector<std::byte> block(1 << 20);
  for (const FileReader& file : parts_->files) {
    Sha256 digest;
    for (std::uint64_t at = 0; at < file.size();) {
      const auto part =
          std::span(block).first(static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), file.size() - at)));
      file.read(at, part);
      digest.update(part);
      at += part.size();
    }
    digests.push_back(digest.hex());
  }
  Sha256 together;
  together.update(parts_->folder_config);
  for (const std::string& digest : digests) together.update(digest);
  const bool one = digests.size() == 1 && parts_->folder_config.empty();
  return parts_->hash = one ? digests.front() : together.hex();
}

void Engine::save(const Session& session, const std::string& path) {
  const KvShape& shape = parts_->kv_pages->shape();
  const auto page_bytes = static_cast<std::uint64_t>(shape.page_bytes());
  const std::size_t pages = ceil_div(session.ids.size(), static_cast<std::size_t>(kv_chunk_positions));
  OutputFile file(path);
  require_free_space(path, head_bytes + 4 * session.ids.size() + pages * page_bytes + hash_digits);
  Sha256 checksum;
  const auto write = [&](std::string_view bytes) { checksum.update(bytes), file.write(bytes); };
  write(head_of(shape, model_hash(), session.ids.size()));
  write(text_of(std::as_bytes(std::span(session.ids))));
  Buffer last;
  for (std::size_t i = 0; i < pages; ++i) {
    const Buffer* page = session.cache->pages()[i].get();
    const auto filled = static_cast<std::int64_t>(session.ids.size()) - static_cast<std::int64_t>(i) * kv_chunk_positions;
    if (filled < kv_chunk_positions) {
      last = Buffer(page->size());
      std::memcpy(last.data(), page->data(), page->size());
      clear_rest(shape, last.data(), filled);
      page = &last;
    }
    write(text_of({page->data(), page->size()}));
  }
  file.write(checksum.hex());
  file.commit();
}

Session Engine::restore(const std::string& path) {
  StateReader file(path);
  const Head head = read_head(file);
  const KvShape& shape = parts_->kv_pages->shape();
  if (head.kv != static_cast<std::uint32_t>(shape.type))
    fail(ErrorKind::usage, "{}: holds keys and values as {}, this engine keeps them as {}", file.name(), kv_name(head.kv),
         kv_name(static_cast<std::uint32_t>(shape.type)));
  const std::array<std::int64_t, 3> own = {shape.n_layer, shape.n_head_kv, shape.head_dim};
  const bool same_model = std::equal(own.begin(), own.end(), head.shape.begin()) && head.hash == model_hash();
  if (!same_model)
    fail(ErrorKind::usage, "{}: was saved with another model, of the hash {}, the one that is loaded has {}", file.name(),
         printable(head.hash.substr(0, 16)), model_hash().substr(0, 16));
  if (head.ids > static_cast<std::uint64_t>(n_ctx()))
    fail(ErrorKind::too_big, "{}: holds {} tokens, the context {}", file.name(), head.ids, n_ctx());
  const std::uint64_t pages = ceil_div(head.ids, static_cast<std::uint64_t>(kv_chunk_positions));
  const std::uint64_t wanted = head_bytes + 4 * head.ids + pages * static_cast<std::uint64_t>(shape.page_bytes()) + hash_digits;
  if (file.size() != wanted)
    fail(ErrorKind::bad_model, "{}: has {} bytes, {} tokens take {}", file.name(), file.size(), head.ids, wanted);
  Session session = new_session();
  session.ids.resize(static_cast<std::size_t>(head.ids));
  file.read(std::as_writable_bytes(std::span(session.ids)));
  session.cache->reserve(static_cast<std::int64_t>(head.ids));
  for (const KvPage& page : session.cache->pages()) file.read({page->data(), page->size()});
  file.check_sum();
  if (!session.ids.empty()) check_ids(session.ids, file.name());
  session.cache->set_length(static_cast<std::int64_t>(head.ids));
  return session;
}

}  // namespace bitnet
