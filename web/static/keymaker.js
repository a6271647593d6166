// A key that is made in the browser and never leaves it: WebCrypto makes it, the CA gets a request for it (PKCS #10,
// RFC 2986), and key and chain are sealed into one file (PKCS #12, RFC 7292) under a passphrase that is drawn here.
"use strict";

(() => {
  const ROUNDS = 100000; // of PBKDF2, for the key
  const MAC_ROUNDS = 2048; // as OpenSSL does; each is a call of WebCrypto. The passphrase has 125 random bits.
  const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"; // 32, without l and o, 0 and 1

  // --- DER (X.690): octets out of octets -------------------------------------------------------------------------------
  const join = (...parts) => {
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => { all.set(part, at); return at + part.length; }, 0);
    return all;
  };
  const bigEndian = (n) => (n < 256 ? [n] : [...bigEndian(Math.floor(n / 256)), n % 256]);
  const size = (n) => (n < 0x80 ? [n] : [0x80 | bigEndian(n).length, ...bigEndian(n)]);
  const tlv = (tag, ...parts) => { const body = join(...parts); return join([tag, ...size(body.length)], body); };
  const sequence = (...parts) => tlv(0x30, ...parts);
  const set = (...parts) => tlv(0x31, ...parts);
  const octetString = (octets) => tlv(0x04, octets);
  const bitString = (octets) => tlv(0x03, [0], octets);
  const tagged = (number, ...parts) => tlv(0xa0 | number, ...parts);
  const NULL = [0x05, 0x00];
  const positive = (octets) => tlv(0x02, octets[0] & 0x80 ? [0] : [], octets);
  const integer = (value) => positive(bigEndian(value));
  const oid = (text) => {
    const [first, second, ...rest] = text.split(".").map(Number);
    const septets = (n) => (n < 128 ? [n] : [...septets(Math.floor(n / 128)).map((one) => one | 0x80), n % 128]);
    return tlv(0x06, [40 * first + second, ...rest.flatMap(septets)]);
  };
  const ascii = (text) => new TextEncoder().encode(text);
  const bmp = (text) => Uint8Array.from([...text].flatMap((one) => [one.charCodeAt(0) >> 8, one.charCodeAt(0) & 255]));

  // --- the request -----------------------------------------------------------------------------------------------------
  const ADDRESS = /^\d+\.\d+\.\d+\.\d+$|:.*:/;

  // The octets of an IP address; the browser's own URL parser reads the text, so that every short form of IPv6 is known.
  function address(text) {
    if (!text.includes(":")) return text.split(".").map(Number);
    if (!URL.canParse(`http://[${text}]`)) throw new Error(`${text} is no IP address.`);
    const [front, back] = new URL(`http://[${text}]`).hostname.slice(1, -1).split("::").map((half) => half.split(":").filter(Boolean));
    const groups = back ? [...front, ...Array(8 - front.length - back.length).fill("0"), ...back] : front;
    return groups.flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 255]);
  }

  function generalName(text) {
    if (text.includes("://")) return tlv(0x86, ascii(text));
    return ADDRESS.test(text) ? tlv(0x87, address(text)) : tlv(0x82, ascii(text));
  }

  // A signature of WebCrypto is r and s side by side; X.509 wants two integers (RFC 3279, section 2.2.3).
  function ecdsaValue(raw) {
    const shortest = (half) => half.subarray(Math.min(half.findIndex((octet) => octet !== 0), half.length - 1));
    return sequence(positive(shortest(raw.subarray(0, 32))), positive(shortest(raw.subarray(32))));
  }

  async function request(pair, names) {
    const key = new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
    const alternative = sequence(oid("2.5.29.17"), octetString(sequence(...names.map(generalName))));
    const attributes = tagged(0, sequence(oid("1.2.840.113549.1.9.14"), set(sequence(alternative))));
    const info = sequence(integer(0), sequence(), key, attributes);
    const raw = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, pair.privateKey, info);
    const der = sequence(info, sequence(oid("1.2.840.10045.4.3.2")), bitString(ecdsaValue(new Uint8Array(raw))));
    const lines = btoa(String.fromCharCode(...der)).match(/.{1,64}/g).join("\n");
    return `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`;
  }

  // --- the file --------------------------------------------------------------------------------------------------------
  const random = (count) => crypto.getRandomValues(new Uint8Array(count));

  function draw() {
    const letters = [...random(25)].map((octet) => LETTERS[octet % 32]).join("");
    return letters.match(/.{5}/g).join("-");
  }

  // EncryptedPrivateKeyInfo by PBES2: PBKDF2 with HMAC-SHA-256, AES-256-CBC (RFC 8018).
  async function sealed(privateKey, passphrase) {
    const [salt, iv] = [random(16), random(16)];
    const base = await crypto.subtle.importKey("raw", ascii(passphrase), "PBKDF2", false, ["deriveKey"]);
    const derived = { name: "PBKDF2", hash: "SHA-256", salt, iterations: ROUNDS };
    const wrapping = await crypto.subtle.deriveKey(derived, base, { name: "AES-CBC", length: 256 }, false, ["wrapKey"]);
    const octets = await crypto.subtle.wrapKey("pkcs8", privateKey, wrapping, { name: "AES-CBC", iv });
    const prf = sequence(oid("1.2.840.113549.2.9"), NULL);
    const kdf = sequence(oid("1.2.840.113549.1.5.12"), sequence(octetString(salt), integer(ROUNDS), prf));
    const cipher = sequence(oid("2.16.840.1.101.3.4.1.42"), octetString(iv));
    return sequence(sequence(oid("1.2.840.113549.1.5.13"), sequence(kdf, cipher)), octetString(new Uint8Array(octets)));
  }

  const digest = async (octets) => new Uint8Array(await crypto.subtle.digest("SHA-256", octets));

  // RFC 7292, appendix B.2 with SHA-256 and ID 3: one block of it is the whole key.
  async function macKey(passphrase, salt) {
    const repeated = (octets) => Uint8Array.from({ length: 64 * Math.ceil(octets.length / 64) }, (_, at) => octets[at % octets.length]);
    let key = join(new Uint8Array(64).fill(3), repeated(salt), repeated(join(bmp(passphrase), [0, 0])));
    for (let round = 0; round < MAC_ROUNDS; round += 1) key = await digest(key);
    return key;
  }

  async function macOf(content, passphrase) {
    const salt = random(16);
    const how = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", await macKey(passphrase, salt), how, false, ["sign"]);
    const mac = new Uint8Array(await crypto.subtle.sign(how, key, content));
    const info = sequence(sequence(oid("2.16.840.1.101.3.4.2.1"), NULL), octetString(mac));
    return sequence(info, octetString(salt), integer(MAC_ROUNDS));
  }

  // The file of a sealed key and its chain, leaf first, each in DER.
  async function bundle(sealedKey, chain, label, passphrase) {
    const data = (content) => sequence(oid("1.2.840.113549.1.7.1"), tagged(0, octetString(content)));
    const id = sequence(oid("1.2.840.113549.1.9.21"), set(octetString((await digest(chain[0])).subarray(0, 20))));
    const name = sequence(oid("1.2.840.113549.1.9.20"), set(tlv(0x1e, bmp(label))));
    const bag = (kind, value, ...attributes) =>
      sequence(oid(`1.2.840.113549.1.12.10.1.${kind}`), tagged(0, value), ...(attributes.length ? [set(...attributes)] : []));
    const certificate = (der) => sequence(oid("1.2.840.113549.1.9.22.1"), tagged(0, octetString(der)));
    const certificates = chain.map((der, at) => bag(3, certificate(der), ...(at ? [] : [name, id])));
    const content = sequence(data(sequence(...certificates)), data(sequence(bag(2, sealedKey, name, id))));
    return sequence(integer(3), data(content), await macOf(content, passphrase));
  }

  // --- the form --------------------------------------------------------------------------------------------------------
  async function issued(form, csr) {
    const fields = new URLSearchParams({
      csr, profile: form.elements.profile.value, owner: form.elements.owner.value,
      _token: form.elements._token.value, _from: form.elements._from.value,
    });
    const answer = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "application/json" } });
    if (answer.redirected) { location.assign(answer.url); return null; }
    const said = await answer.json();
    if (!answer.ok) throw new Error([said.detail, said.next_step].filter(Boolean).join(" "));
    return said;
  }

  // The certificates of a PEM chain, each in DER.
  const ders = (pem) => pem.match(/[^-]+(?=-----END CERTIFICATE)/g).map((base64) => Uint8Array.from(atob(base64), (one) => one.charCodeAt(0)));

  function show(form, file, label, page, passphrase) {
    const result = document.getElementById("made");
    const link = result.querySelector("a[download]");
    link.href = URL.createObjectURL(new Blob([file], { type: "application/x-pkcs12" }));
    link.download = `${label.replace(/[^A-Za-z0-9.-]+/g, "_")}.p12`;
    result.querySelector("a[data-page]").href = page;
    document.getElementById("passphrase").textContent = passphrase;
    form.hidden = true;
    result.hidden = false;
    result.querySelector("h2").focus();
    addEventListener("beforeunload", (event) => { if (!link.dataset.saved) event.preventDefault(); });
    link.addEventListener("click", () => { link.dataset.saved = "yes"; });
  }

  async function make(form) {
    const names = form.elements.names.value.split(/[\s,]+/).filter(Boolean);
    if (!names.length) throw new Error("There is no name: write at least one.");
    const passphrase = draw();
    const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
    const key = await sealed(pair.privateKey, passphrase);
    const said = await issued(form, await request(pair, names));
    if (said) show(form, await bundle(key, ders(said.chain), names[0], passphrase), names[0], said.page, passphrase);
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form[data-keymaker]")) return;
    event.preventDefault();
    const [place, button] = [form.querySelector("[data-says]"), form.querySelector("button")];
    place.hidden = true;
    button.disabled = true;
    try {
      await make(form);
    } catch (error) {
      place.textContent = error.message;
      place.hidden = false;
    }
    button.disabled = false;
  });
})();
