// OpenSSL's settings: protocols, ciphers, files.
#include "server/tls.h"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <string_view>

#include "common/error.h"

namespace bitnet::server {
namespace {

namespace ssl = boost::asio::ssl;

// HTTP/1.1 is all there is; a client that offers only others finds out by its own means.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  static constexpr unsigned char spoken[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, spoken, sizeof spoken - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

void check_readable(const std::string& path, const char* flag) {
  if (path.empty()) fail(ErrorKind::usage, "{} is missing: TLS needs both --tls-cert and --tls-key", flag);
  if (::access(path.c_str(), R_OK) != 0) fail(ErrorKind::usage, "{}: {} cannot be read", flag, printable(path, 512));
}

}  // namespace

std::shared_ptr<ssl::context> open_tls(const TlsFiles& files) {
  check_readable(files.certificate, "--tls-cert");
  check_readable(files.key, "--tls-key");
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20");  // of TLS 1.2: forward secrecy and authentication
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);      // tickets do without memory here
  SSL_CTX_set_alpn_select_cb(native, choose_protocol, nullptr);
  boost::system::error_code error;
  // A locked key would make OpenSSL ask at the terminal.
  context->set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); }, error);
  context->use_certificate_chain_file(files.certificate, error);
  if (error)
    fail(ErrorKind::usage, "--tls-cert: {} holds no certificate in PEM: {}", printable(files.certificate, 512),
         error.message());
  context->use_private_key_file(files.key, ssl::context::pem, error);
  if (error)
    fail(ErrorKind::usage, "--tls-key: {} holds no unlocked private key that fits {}: {}", printable(files.key, 512),
         printable(files.certificate, 512), error.message());
  if (SSL_CTX_check_private_key(native) != 1)
    fail(ErrorKind::usage, "--tls-key: {} does not fit {}", printable(files.key, 512), printable(files.certificate, 512));
  return context;
}

}  // namespace bitnet::server
