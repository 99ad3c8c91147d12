// Which URLs may be used, and where may a redirect lead?
#include "models/hub/origin.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>

#include "common/error.h"

namespace bitnet::hub {
namespace {

const Origin endpoint = require_origin("https://hub.example", nullptr);

Reach reach(const char* text) {
  sockaddr_in v4 = {};
  sockaddr_in6 v6 = {};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) return reach_of(reinterpret_cast<const sockaddr*>(&v4));
  EXPECT_EQ(inet_pton(AF_INET6, text, &v6.sin6_addr), 1) << text;
  return reach_of(reinterpret_cast<const sockaddr*>(&v6));
}

TEST(Reach, OfAddresses) {
  for (const char* text : {"1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111"})
    EXPECT_EQ(reach(text), Reach::everywhere) << text;
  for (const char* text :
       {"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"}) {
    EXPECT_EQ(reach(text), Reach::network) << text;
  }
  for (const char* text : {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"})
    EXPECT_EQ(reach(text), Reach::loopback) << text;
  for (const char* text : {"169.254.169.254", "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "fe80::1", "::", "ff02::1",
                           "::ffff:169.254.169.254"}) {
    EXPECT_EQ(reach(text), Reach::link) << text;
  }
}

TEST(Origin, IsSchemeHostAndPort) {
  EXPECT_EQ(require_origin("https://Hub.Example:443/a?b", nullptr), endpoint);
  EXPECT_NE(require_origin("https://hub.example:8443/", nullptr), endpoint);
  EXPECT_NE(require_origin("https://hub.example.evil.org/", nullptr), endpoint);
  EXPECT_EQ(require_origin("https://hub.example:8443/", nullptr).text(), "https://hub.example:8443");
}

TEST(Origin, OnlyEncryptedOrLoopback) {
  for (const char* url :
       {"http://localhost:80/", "http://127.0.0.1/", "http://127.1/", "http://[::1]:8080/x", "https://1.1.1.1/"}) {
    EXPECT_NO_THROW(require_origin(url, &endpoint)) << url;
  }
  for (const char* url : {"http://hub.example/", "http://10.0.0.1/", "http://127.0.0.1.evil.org/", "http://localhost.evil.org/",
                          "ftp://hub.example/", "file:///etc/passwd", "hub.example", "", "https://", "https://a:b@hub.example/",
                          "https://hub.example\r\nX: y/"}) {
    EXPECT_THROW(require_origin(url, &endpoint), Error) << url;
  }
  const Origin plain = require_origin("http://hub.lan:8080", nullptr);
  EXPECT_NO_THROW(require_origin("http://hub.lan:8080/x", &plain));
  EXPECT_THROW(require_origin("http://hub.lan:8081/x", &plain), Error);
}

// Whether a redirect from `from` to `to` is followed, when the first server's address had this reach.
bool follows(const char* from, const char* to, Reach widest) {
  const Origin first = require_origin(from, nullptr);
  try {
    require_redirect(first, to, first, widest, endpoint);
    return true;
  } catch (const Error&) {
    return false;
  }
}

TEST(Redirect, NeverToLessPublicPlaces) {
  EXPECT_TRUE(follows("https://hub.example/", "https://cdn.example/x", Reach::everywhere));
  EXPECT_TRUE(follows("https://hub.example/", "https://1.1.1.1/x", Reach::everywhere));
  for (const char* to :
       {"https://10.0.0.1/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://2130706433/",
        "https://0x7f.1/", "https://169.254.169.254/", "https://[::ffff:10.0.0.1]/", "https://a.localhost/"}) {
    EXPECT_FALSE(follows("https://hub.example/", to, Reach::everywhere)) << to;
  }
  EXPECT_TRUE(follows("https://hub.lan/", "https://10.0.0.1/", Reach::network));
  EXPECT_FALSE(follows("https://hub.lan/", "https://127.0.0.1/", Reach::network));
  EXPECT_TRUE(follows("https://127.0.0.1/", "https://127.0.0.1:8443/", Reach::loopback));
  EXPECT_FALSE(follows("https://127.0.0.1/", "https://169.254.169.254/", Reach::loopback));
}

TEST(Redirect, NeverFromEncryptedToPlain) {
  EXPECT_FALSE(follows("https://hub.example/", "http://hub.example/x", Reach::everywhere));
  EXPECT_FALSE(follows("https://127.0.0.1/", "http://127.0.0.1/x", Reach::loopback));
  EXPECT_FALSE(follows("http://127.0.0.1/", "http://cdn.example/x", Reach::loopback));
  EXPECT_TRUE(follows("http://127.0.0.1/", "http://127.0.0.1:81/x", Reach::loopback));
  EXPECT_TRUE(follows("http://127.0.0.1/", "https://cdn.example/x", Reach::loopback));
}

TEST(Redirect, IsSeenFromWhereItCame) {
  EXPECT_EQ(redirected("https://a.example/b/c?d", "/e"), "https://a.example/e");
  EXPECT_EQ(redirected("https://a.example/b/c?d", "e"), "https://a.example/b/e");
  EXPECT_EQ(redirected("https://a.example/b", "//c.example/e"), "https://c.example/e");
  EXPECT_THROW(redirected("https://a.example/b", std::string(9000, 'x')), Error);
}

}  // namespace
}  // namespace bitnet::hub
