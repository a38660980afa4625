#include "tests/support/tls.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <memory>
#include <stdexcept>

namespace rosterd::test {
namespace {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Freer<X509_free>>;
using File = std::unique_ptr<FILE, Freer<std::fclose>>;

File open_file(const std::string& path, const char* mode) {
  File file(std::fopen(path.c_str(), mode));
  if (!file) throw std::runtime_error("cannot open " + path);
  return file;
}

void must(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("openssl: ") + what);
}

void extension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  must(made != nullptr, value.c_str());
  X509_add_ext(cert, made, -1);
  X509_EXTENSION_free(made);
}

Cert blank(EVP_PKEY* key, const std::string& common_name, int from_days, int to_days) {
  Cert cert(X509_new());
  std::uint64_t serial = 0;
  must(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial)) == 1, "random serial");
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), from_days * 86400L);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), to_days * 86400L);
  X509_set_pubkey(cert.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
  return cert;
}

void save(const std::string& cert_file, X509* cert, const std::string& key_file, EVP_PKEY* key) {
  must(PEM_write_X509(open_file(cert_file, "w").get(), cert) == 1, "writing a certificate");
  must(PEM_write_PrivateKey(open_file(key_file, "w").get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1, "writing a key");
}

}  // namespace

PrivateCa::PrivateCa(std::string dir, std::string name) : dir_(std::move(dir)), ca_file_(dir_ + "/ca.pem"), ca_key_(dir_ + "/ca.key") {
  std::filesystem::create_directories(dir_);
  const Key key(EVP_EC_gen("P-256"));
  must(key != nullptr, "making a key");
  const Cert cert = blank(key.get(), name, -60, 3650);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get()));
  extension(cert.get(), cert.get(), NID_basic_constraints, "critical,CA:TRUE");
  extension(cert.get(), cert.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  extension(cert.get(), cert.get(), NID_subject_key_identifier, "hash");
  must(X509_sign(cert.get(), key.get(), EVP_sha256()) != 0, "signing the authority");
  save(ca_file_, cert.get(), ca_key_, key.get());
}

Certificate PrivateCa::issue(const std::string& file_stem, const Options& options) const {
  const Cert authority(PEM_read_X509(open_file(ca_file_, "r").get(), nullptr, nullptr, nullptr));
  const Key authority_key(PEM_read_PrivateKey(open_file(ca_key_, "r").get(), nullptr, nullptr, nullptr));
  must(authority != nullptr && authority_key != nullptr, "reading the authority");
  const Key key(EVP_EC_gen("P-256"));
  const Cert cert = blank(key.get(), options.common_name, options.valid_from_days, options.valid_to_days);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(authority.get()));
  std::string names;
  for (const auto& name : options.names) names += (names.empty() ? "" : ",") + name;
  extension(cert.get(), authority.get(), NID_basic_constraints, "critical,CA:FALSE");
  extension(cert.get(), authority.get(), NID_key_usage, "critical,digitalSignature");
  extension(cert.get(), authority.get(), NID_ext_key_usage, options.usage);
  if (!names.empty()) extension(cert.get(), authority.get(), NID_subject_alt_name, names);
  must(X509_sign(cert.get(), authority_key.get(), EVP_sha256()) != 0, "signing");
  Certificate made{dir_ + "/" + file_stem + ".pem", dir_ + "/" + file_stem + ".key"};
  save(made.cert_file, cert.get(), made.key_file, key.get());
  return made;
}

}  // namespace rosterd::test
