// Obtains a certificate by http-01, or revokes one: node client.js obtain|revoke DIRECTORY HOME [NAME WEBROOT | REASON]
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const acme = require('acme-client');

const [what, directoryUrl, home, ...more] = process.argv.slice(2);
const file = (name) => path.join(home, name);

async function main() {
    if (!fs.existsSync(file('account.pem'))) {
        fs.writeFileSync(file('account.pem'), await acme.crypto.createPrivateEcdsaKey(), { mode: 0o600 });
    }
    const client = new acme.Client({ directoryUrl, accountKey: fs.readFileSync(file('account.pem')) });
    await client.createAccount({ termsOfServiceAgreed: true });
    if (what === 'revoke') {
        return client.revokeCertificate(fs.readFileSync(file('chain.pem')), { reason: Number(more[0]) });
    }
    return obtain(client, ...more);
}

async function obtain(client, name, webroot) {
    const [key, csr] = await acme.crypto.createCsr({ altNames: [name] }, await acme.crypto.createPrivateEcdsaKey());
    const chain = await client.auto({
        csr,
        termsOfServiceAgreed: true,
        challengePriority: ['http-01'],
        challengeCreateFn: async (_, challenge, answer) => fs.writeFileSync(path.join(webroot, challenge.token), answer),
        challengeRemoveFn: async (_, challenge) => fs.rmSync(path.join(webroot, challenge.token)),
        skipChallengeVerification: true,  // it would ask port 80
    });
    fs.writeFileSync(file('key.pem'), key, { mode: 0o600 });
    fs.writeFileSync(file('chain.pem'), chain);
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
