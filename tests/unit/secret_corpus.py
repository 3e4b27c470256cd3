"""Ways in which secrets were seen in logs, and ordinary lines of logs. Made at run time, from a seed: none is real."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

LOWER_HEX, LETTERS, CODE = (
    "0123456789abcdef",
    string.ascii_letters + string.digits,
    string.ascii_letters + string.digits + "_-",
)


def _draw(choice: random.Random, alphabet: str, length: int) -> str:
    """With a letter and a digit, as a drawn secret of some length has them."""
    drawn = [choice.choice(alphabet) for _ in range(length)]
    drawn[1], drawn[2] = "a", "7"
    return "".join(drawn)


def shapes() -> list[tuple[str, str]]:
    """Each a text and the secret in it."""
    choice = random.Random(11)

    def w(length: int, alphabet: str = LETTERS) -> str:
        return _draw(choice, alphabet, length)

    def hexadecimal(length: int) -> str:
        return _draw(choice, LOWER_HEX, length)

    tokens = [
        *("ghp_" + w(36), "gho_" + w(36), "ghu_" + w(36), "ghs_" + w(36), "ghr_" + w(76), "github_pat_" + w(82, CODE)),
        *(
            "glpat-" + w(20, CODE),
            "gldt-" + w(20, CODE),
            "glrt-" + w(20, CODE),
            "glcbt-1a_" + w(20),
            "glptt-" + hexadecimal(40),
        ),
        *("glft-" + w(20), "glsoat-" + w(20), "glagent-" + w(50), "gloas-" + hexadecimal(64)),
        *(
            "xoxb-1234567890-" + w(24),
            "xoxp-1-2-3-" + w(32),
            "xoxa-2-" + w(24),
            "xoxe.xoxp-1-" + w(60),
            "xapp-1-A0-1-" + w(40),
        ),
        *("sk_live_" + w(24), "sk_test_" + w(24), "rk_live_" + w(24), "pk_live_" + w(24), "whsec_" + w(32)),
        *(
            "sk-ant-api03-" + w(60, CODE),
            "sk-proj-" + w(60, CODE),
            "sk-" + w(48),
            "sk-svcacct-" + w(40, CODE),
            "sk-admin-" + w(40),
        ),
        *(
            "AKIA" + w(16, string.ascii_uppercase + "234567").upper(),
            "ASIA" + w(16, string.ascii_uppercase + "234567").upper(),
        ),
        *("AIza" + w(35, CODE), "ya29." + w(60, CODE), "GOCSPX-" + w(28, CODE), "1//0" + w(60, CODE)),
        *(
            "npm_" + w(36),
            "hf_" + w(34),
            "rubygems_" + hexadecimal(48),
            "pypi-AgEIcHlwaS5vcmc" + w(60, CODE),
            "dckr_pat_" + w(27, CODE),
        ),
        *(
            "SG." + w(22, CODE) + "." + w(43, CODE),
            "key-" + hexadecimal(32),
            hexadecimal(32) + "-us14",
            "SK" + hexadecimal(32),
        ),
        *("shpat_" + hexadecimal(32), "shpss_" + hexadecimal(32), "sq0atp-" + w(22, CODE), "sq0csp-" + w(43, CODE)),
        *("dop_v1_" + hexadecimal(64), "doo_v1_" + hexadecimal(64), "dp.st.prd." + w(42), "dp.pt." + w(43)),
        *(
            "lin_api_" + w(40),
            "ntn_" + w(46),
            "secret_" + w(43),
            "figd_" + w(40, CODE),
            "ATATT3xFfGF0" + w(60, CODE),
            "ATBB" + w(32),
        ),
        *(
            "pat" + w(14) + "." + hexadecimal(64),
            "M" + w(23, CODE) + "." + w(6, CODE) + "." + w(38, CODE),
            "NRAK-" + w(27).upper(),
        ),
        *(
            "glsa_" + w(32) + "_" + hexadecimal(8),
            "glc_" + w(60),
            "sntrys_" + w(60),
            "phx_" + w(43),
            "lsv2_pt_" + hexadecimal(32),
        ),
        *(
            "pscale_tkn_" + w(43, CODE),
            "pscale_pw_" + w(43, CODE),
            "sbp_" + hexadecimal(40),
            "nfp_" + w(36),
            "rnd_" + w(28),
        ),
        *("hvs." + w(90, CODE), "hvb." + w(90, CODE), w(14) + ".atlasv1." + w(64, CODE), "pul-" + hexadecimal(40)),
        *(
            "PMAK-" + hexadecimal(24) + "-" + hexadecimal(34),
            "pplx-" + w(48),
            "xai-" + w(80),
            "gsk_" + w(52),
            "r8_" + w(37),
        ),
        *(
            "tskey-auth-" + w(20) + "-" + w(30),
            "AGE-SECRET-KEY-1" + w(58).upper(),
            "re_" + w(8) + "_" + w(24),
            "nvapi-" + w(64, CODE),
        ),
        *(
            "CFPAT-" + w(43, CODE),
            "sqp_" + hexadecimal(40),
            "LTAI" + w(20),
            "AKCp" + w(69),
            "EZAK" + w(54),
            "dapi" + hexadecimal(32),
        ),
        *(
            "HRKU-" + w(60, CODE),
            "access_token$production$" + w(16).lower() + "$" + hexadecimal(32),
            "abc8Q~" + w(34, CODE),
        ),
        *("eyJhbGciOiJIUzI1NiJ9." + w(40, CODE) + "." + w(43, CODE), "123456789:AA" + w(33, CODE)),
    ]
    around: list[Callable[[str], str]] = [
        lambda token: f"refused {token} by the server",
        lambda token: f'{{"detail": "{token}"}}',
        lambda token: f"https://vendor.example/x/{token}/y",
        lambda token: f"({token})",
    ]
    found = [(around[place % len(around)](token), token) for place, token in enumerate(tokens)]
    word, strong = "hunter2x9", w(32)
    addresses = [
        *("https://hooks.slack.com/services/T0/B0/", "https://hooks.slack.com/workflows/T0/A0/1/"),
        *("https://discord.com/api/webhooks/123/", "https://discordapp.com/api/v10/webhooks/123/"),
        *(
            "https://acme.webhook.office.com/webhookb2/",
            "https://outlook.office.com/webhook/",
            "https://hooks.zapier.com/hooks/catch/1/",
        ),
        *(
            "https://hook.eu1.make.com/",
            "https://maker.ifttt.com/trigger/x/with/key/",
            "https://events.pagerduty.com/integration/",
        ),
        *("https://open.feishu.cn/open-apis/bot/v2/hook/", "https://oapi.dingtalk.com/robot/send?access_token="),
        *(
            "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=",
            "https://hc-ping.com/",
            "https://api.telegram.org/bot123456:",
        ),
        *(
            "https://chat.googleapis.com/v1/spaces/A/messages?key=k&token=",
            "https://x.logic.azure.com/workflows/1/triggers?sig=",
        ),
    ]
    found += [(f"POST {address}{strong} 200", strong) for address in addresses]
    found += [("POST https://chat.example/hooks/" + (hook := w(26).lower()), hook)]
    said = [
        *(
            "token: {}",
            "Token: {}",
            "api_key: {}",
            "apiKey: {}",
            "secret: {}",
            "client_secret: {}",
            "password: {}",
            "passwd={}",
        ),
        *(
            "--password {}",
            "--token {}",
            "--token={}",
            "--api-key {}",
            "--client-secret '{}'",
            "-password {}",
            '--db-password "{}"',
        ),
        *("Cookie: session={}; theme=dark", "Set-Cookie: sid={}; Path=/; HttpOnly", "cookie: {}=1", "'Cookie': 'a={}'"),
        *(
            "Authorization: Basic {}",
            "Authorization: Token {}",
            "authorization: Bearer {}",
            "Proxy-Authorization: Basic {}",
        ),
        *(
            "X-Api-Key: {}",
            "x-auth-token: {}",
            "PRIVATE-TOKEN: {}",
            "X-Vault-Token: {}",
            "X-Hub-Signature-256: sha256={}",
        ),
        *(
            "export DB_PASSWORD={}",
            "PGPASSWORD={} psql",
            "ENV API_TOKEN={}",
            "AWS_SECRET_ACCESS_KEY = {}",
            "SECRET_KEY_BASE secret_key={}",
        ),
        *(
            "ENCRYPTION_KEY={}",
            "AccountKey={};EndpointSuffix=x",
            "SharedAccessKey={}",
            "Server=db;Pwd={};",
            "DB_PASS={}",
        ),
        *(
            '{{"password": "{}"}}',
            '{{"access_token":"{}"}}',
            "{{'client_secret': '{}'}}",
            '{{\\"token\\": \\"{}\\"}}',
            '"token" => "{}"',
        ),
        *(
            ":password => '{}'",
            'password := "{}"',
            "&quot;token&quot;:&quot;{}&quot;",
            "token%3D{}",
            "<password>{}</password>",
        ),
        *(
            "postgres://app:{}@db:5432/x",
            "redis://:{}@cache:6379",
            "mongodb+srv://app:{}@c.mongodb.net",
            "https://{}@git.example/x.git",
        ),
        *(
            "https://x.example/cb?code={}&state=1",
            "https://b.example/f?X-Amz-Signature={}",
            "https://a.example/x?sig={}&se=1",
        ),
        *(
            "curl -u app:{} https://x",
            "curl --user 'app:{}'",
            "machine x.example login app password {}",
            "identified by '{}'",
        ),
    ]
    found += [(text.format(strong), strong) for text in said]
    short = (
        "token: {}",
        "password: {}",
        "--password {}",
        "token={}",
        '"secret": "{}"',
        "X-Api-Key: {}",
        "redis://:{}@c:1",
    )
    found += [(text.format(word), word) for text in short]
    found += [
        (f"the api key {strong} is not valid", strong),
        (f"API key is {strong}", strong),
        (f"token {strong} expired", strong),
    ]
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
