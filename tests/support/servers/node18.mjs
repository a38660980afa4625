// Debian 12 has Node.js 18; oidc-provider 9 and jose 6 want two things that came with 20 and 22. Import this first.
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto;
URL.parse ??= (text, base) => {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
};
