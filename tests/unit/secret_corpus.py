"""Ways in which secrets were seen in logs, and ordinary lines of logs. Made at run time, from a seed: none is real."""

import itertools
import random
import re
import string

LOWER_HEX, LETTERS = "0123456789abcdef", string.ascii_letters + string.digits
_ALPHABETS = {
    "w": LETTERS,
    "W": string.ascii_uppercase + "234567",
    "h": LOWER_HEX,
    "c": LETTERS + "_-",
}
_TOKENS = """
ghp_<w36> gho_<w36> ghu_<w36> ghs_<w36> ghr_<w76> github_pat_<c82>
glpat-<c20> gldt-<c20> glrt-<c20> glcbt-1a_<w20> glptt-<h40> glft-<w20> glsoat-<w20> glagent-<w50> gloas-<h64>
xoxb-1234567890-<w24> xoxp-1-2-3-<w32> xoxa-2-<w24> xoxe.xoxp-1-<w60> xapp-1-A0-1-<w40>
sk_live_<w24> sk_test_<w24> rk_live_<w24> pk_live_<w24> whsec_<w32>
sk-ant-api03-<c60> sk-proj-<c60> sk-<w48> sk-svcacct-<c40> sk-admin-<w40>
AKIA<W16> ASIA<W16> AIza<c35> ya29.<c60> GOCSPX-<c28> 1//0<c60>
npm_<w36> hf_<w34> rubygems_<h48> pypi-AgEIcHlwaS5vcmc<c60> dckr_pat_<c27>
SG.<c22>.<c43> key-<h32> <h32>-us14 SK<h32> shpat_<h32> shpss_<h32> sq0atp-<c22> sq0csp-<c43>
dop_v1_<h64> doo_v1_<h64> dp.st.prd.<w42> dp.pt.<w43>
lin_api_<w40> ntn_<w46> secret_<w43> figd_<c40> ATATT3xFfGF0<c60> ATBB<w32>
pat<w14>.<h64> M<c23>.<c6>.<c38> NRAK-<W27>
glsa_<w32>_<h8> glc_<w60> sntrys_<w60> phx_<w43> lsv2_pt_<h32>
pscale_tkn_<c43> pscale_pw_<c43> sbp_<h40> nfp_<w36> rnd_<w28> hvs.<c90> hvb.<c90> <w14>.atlasv1.<c64> pul-<h40>
PMAK-<h24>-<h34> pplx-<w48> xai-<w80> gsk_<w52> r8_<w37>
tskey-auth-<w20>-<w30> AGE-SECRET-KEY-1<W58> re_<w8>_<w24> nvapi-<c64>
CFPAT-<c43> sqp_<h40> LTAI<w20> AKCp<w69> EZAK<w54> dapi<h32>
HRKU-<c60> access_token$production$<h16>$<h32> abc8Q~<c34> eyJhbGciOiJIUzI1NiJ9.<c40>.<c43> 123456789:AA<c33>
"""
_ADDRESSES = """
https://hooks.slack.com/services/T0/B0/ https://hooks.slack.com/workflows/T0/A0/1/
https://discord.com/api/webhooks/123/ https://discordapp.com/api/v10/webhooks/123/
https://acme.webhook.office.com/webhookb2/ https://outlook.office.com/webhook/
https://hooks.zapier.com/hooks/catch/1/ https://hook.eu1.make.com/ https://maker.ifttt.com/trigger/x/with/key/
https://events.pagerduty.com/integration/ https://open.feishu.cn/open-apis/bot/v2/hook/
https://oapi.dingtalk.com/robot/send?access_token= https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=
https://hc-ping.com/ https://api.telegram.org/bot123456:
https://chat.googleapis.com/v1/spaces/A/messages?key=k&token= https://x.logic.azure.com/workflows/1/triggers?sig=
"""
_SAID = r"""
token: {} | Token: {} | api_key: {} | apiKey: {} | secret: {} | client_secret: {} | password: {} | passwd={}
--password {} | --token {} | --token={} | --api-key {} | --client-secret '{}' | -password {} | --db-password "{}"
Cookie: session={}; theme=dark | Set-Cookie: sid={}; Path=/; HttpOnly | cookie: {}=1 | 'Cookie': 'a={}'
Authorization: Basic {} | Authorization: Token {} | authorization: Bearer {} | Proxy-Authorization: Basic {}
X-Api-Key: {} | x-auth-token: {} | PRIVATE-TOKEN: {} | X-Vault-Token: {} | X-Hub-Signature-256: sha256={}
export DB_PASSWORD={} | PGPASSWORD={} psql | ENV API_TOKEN={} | AWS_SECRET_ACCESS_KEY = {}
SECRET_KEY_BASE secret_key={} | ENCRYPTION_KEY={} | AccountKey={};EndpointSuffix=x | SharedAccessKey={}
Server=db;Pwd={}; | DB_PASS={} | {{"password": "{}"}} | {{"access_token":"{}"}} | {{'client_secret': '{}'}}
{{\"token\": \"{}\"}} | "token" => "{}" | :password => '{}' | password := "{}" | &quot;token&quot;:&quot;{}&quot;
token%3D{} | <password>{}</password> | postgres://app:{}@db:5432/x | redis://:{}@cache:6379
mongodb+srv://app:{}@c.mongodb.net | https://{}@git.example/x.git | https://x.example/cb?code={}&state=1
https://b.example/f?X-Amz-Signature={} | https://a.example/x?sig={}&se=1 | curl -u app:{} https://x
curl --user 'app:{}' | machine x.example login app password {} | identified by '{}'
the api key {} is not valid | API key is {} | token {} expired
"""
_OF_ANY_WORD = 'token: {} | password: {} | --password {} | token={} | "secret": "{}" | X-Api-Key: {} | redis://:{}@c:1'
_AROUND = ("refused {} by the server", '{{"detail": "{}"}}', "https://vendor.example/x/{}/y", "({})")


def shapes() -> list[tuple[str, str]]:
    """Each a text and the secret in it."""
    choice = random.Random(11)

    def drawn(part: re.Match[str]) -> str:
        """With a letter and a digit, as a drawn secret of some length has them."""
        letters = [choice.choice(_ALPHABETS[part[1]]) for _ in range(int(part[2]))]
        letters[1], letters[2] = ("A" if part[1] == "W" else "a"), "7"
        return "".join(letters)

    def draw(template: str) -> str:
        return re.sub(r"<(\w)(\d+)>", drawn, template)

    tokens = [draw(template) for template in _TOKENS.split()]
    found = [(around.format(token), token) for around, token in zip(itertools.cycle(_AROUND), tokens, strict=False)]
    word, strong, hook = "hunter2x9", draw("<w32>"), draw("<w26>").lower()
    found += [(f"POST {address}{strong} 200", strong) for address in _ADDRESSES.split()]
    found += [(f"POST https://chat.example/hooks/{hook}", hook)]
    found += [(text.format(strong), strong) for line in _SAID.split("\n") if line for text in line.split(" | ")]
    found += [(text.format(word), word) for text in _OF_ANY_WORD.split(" | ")]
    pem = "-----BEGIN {}PRIVATE KEY{}-----\n" + strong + "\n-----END {}PRIVATE KEY{}-----"
    kinds = [("", ""), ("RSA ", ""), ("EC ", ""), ("OPENSSH ", ""), ("ENCRYPTED ", ""), ("PGP ", " BLOCK")]
    found += [(pem.format(kind, block, kind, block), strong) for kind, block in kinds]
    found += [("key: LS0tLS1CRUdJTi" + strong, strong)]
    return found


_ORDINARY = """
npm warn deprecated inflight@1.0.{n}: This module is not supported, and leaks memory.
npm http fetch GET 200 https://registry.example/@types%2fnode {n}ms (cache hit)
added {n} packages, and audited {n} packages in 12s
integrity sha512-{b64}==
Collecting cryptography=={n}.0.1 --hash=sha256:{hex64}
Successfully installed PyJWT-2.{n} msgspec-0.{n}.0
#{n} [builder 4/7] RUN pip install --no-cache-dir -r requirements.txt
#{n} sha256:{hex64} 12.58MB / 29.13MB 0.4s
Digest: sha256:{hex64}
{hex12}: Pull complete
writing image sha256:{hex64} done
HEAD is now at {hex7} Fix the login of {name}
commit {hex40}
Merge pull request #{n} from acme/{name}-patch-1
 * branch            main       -> FETCH_HEAD {hex40}
10.0.{n}.7 - - [26/Nov/2026:12:00:{s}] "GET /health?from=probe&n={n} HTTP/1.1" 200 {n} "-" "curl/8.{n}"
{time} INFO  request id={uuid} method=POST path=/api/orders/{n} status=201 duration={n}ms
{time} [info] user {name} signed in from 203.0.113.{n}
{time} WARN  token expired; the client has to sign in again
{time} ERROR password required for user {name}
{time} INFO  session token refreshed for user {n}
{time} INFO  secret rotation finished, 2 secrets are older than {n} days
{time} DEBUG authorization granted to role admin on resource {uuid}
{time} INFO  key {name} not found in cache, {n} keys left
prompt tokens: {n}, completion tokens: {n}, max_tokens: 4096
{{"level":"info","time":{n},"pid":{n},"msg":"listening on port 80{s}","tokens":{n}}}
{{"run_id":"{uuid}","stage":"verify","status":"running","sha":"{hex40}"}}
Traceback (most recent call last):
  File "/app/shared/clients/http.py", line {n}, in send
    raise Unavailable(f"{{method}} {{url}}: {{error}}") from error
shared.errors.Unavailable: GET backboard.railway.com/graphql/v2: not reached: ConnectError
    at async Object.handle (/app/node_modules/{name}/dist/index.js:{n}:17)
    at TokenStore.verify (/app/src/token-store.ts:{n}:{s})
java.lang.IllegalStateException: {name} is closed
	at com.acme.{name}.Service.start(Service.java:{n})
goroutine {n} [running]:
main.main() /go/src/app/main.go:{n} +0x{hex7}
SELECT id, token_kind, created_at FROM sessions WHERE user_id = {n} ORDER BY created_at DESC
CREATE INDEX index_users_on_reset_password_sent_at ON users
ALTER TABLE api_keys ADD COLUMN key_prefix varchar({n})
Migration {n}_add_password_digest_to_users migrated (0.0{n}s)
webpack 5.{n}.0 compiled successfully in {n} ms
dist/assets/index-{hex7}.js   {n}.12 kB | gzip: {n}.4 kB
vite v5.{n} building for production...
Compiling {name} v0.{n}.1 (/app/crates/{name})
   Compiling syn v2.0.{n}
[{n}/120] Building CXX object src/CMakeFiles/app.dir/{name}.cc.o
Starting Container
Stopping Container
Mounting volume on: /var/lib/containers/railwayapp/bind-mounts/{uuid}/vol_{hex12}
Health check passed on /healthz after {n} attempts
deployment {uuid} is live, healthy; must stay healthy for {n} s
merged as {hex7}; queued behind production-pr{n}-{hex12}
https://github.com/acme/shop/pull/{n}#issuecomment-{n}
https://railway.com/project/{uuid}/service/{uuid}?environmentId={uuid}
ETag: "{hex40}"
X-Request-Id: {uuid}
Content-Type: application/json; charset=utf-8
kafka: partition {n} of orders-{name} has no leader
redis: connected to redis://cache.internal:6379/{s}
connecting to postgres://db.internal:5432/shop as app
celery@{name} ready, {n} tasks in the queue
Listening at: http://0.0.0.0:80{s} ({n})
gunicorn: Booting worker with pid: {n}
Python 3.11.{s} on linux, OpenSSL 3.0.{s}
Let's Encrypt: certificate for www.acme.example is valid until 2027-01-{s}
-----BEGIN CERTIFICATE-----
MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ
basic authentication is off; the bearer of this message is {name}
warning: unused variable: `{name}` --> src/main.rs:{n}:{s}
✓ {n} tests passed ({s}s)
FAIL src/{name}.test.ts > sign in > rejects a wrong password
expected 'token' to equal 'tokens' at {name}.spec.js:{n}
primary key id = {n}, foreign key user_id
cookie banner shown to {n} visitors
The secret of {name}: keep it simple
signature mismatch: the webhook of {name} was not accepted
API key missing: set the environment variable {name_upper}_API_KEY
token: Invalid enum value 'project'
password: too short (minimum is 8 characters)
railway.token: expected "account" or "project"
"""


def ordinary_lines() -> list[str]:
    choice = random.Random(7)
    names = ("ada", "grace", "checkout", "billing", "inventory", "search", "antler", "mailer", "keyboard", "tokenizer")

    def filled(template: str) -> str:
        def digits(length: int) -> str:
            return "".join(choice.choice(LOWER_HEX) for _ in range(length))

        name = choice.choice(names)
        return template.format(
            n=choice.randrange(1, 10**5),
            s=choice.randrange(10, 60),
            name=name,
            name_upper=name.upper(),
            hex7=digits(7),
            hex12=digits(12),
            hex40=digits(40),
            hex64=digits(64),
            uuid="-".join(digits(length) for length in (8, 4, 4, 4, 12)),
            b64="".join(choice.choice(LETTERS + "+/") for _ in range(86)),
            time=f"2026-11-26T12:{choice.randrange(10, 60)}:00.{choice.randrange(100, 999)}Z",
        )

    templates = [line for line in _ORDINARY.split("\n") if line]
    return [filled(template) for template in templates for _ in range(15)]
