"""What secrets look like, as data: prefixes that vendors publish, addresses that are a secret, names before a value.

Sources: the vendors' own pages on their tokens' formats (GitHub "token formats", GitLab "token overview", Slack "token
types", Stripe "API keys", AWS "unique identifiers", Docker, npm, PyPI, Hugging Face, …) and what secret scanners
publish (docs.github.com "Supported secret scanning patterns"). Railway's tokens are UUIDs: they are known by the name
that stands before them, or because the process reads them.

Each pattern takes time in proportion to the text: what repeats without an end is taken whole once it has begun, and all
else has a bound.
"""

from __future__ import annotations

import functools
import re

from msgspec import Struct

MASK = "[redacted]"
SHORTEST_TOKEN = 12


class Shape(Struct, frozen=True):
    """`pattern` may name what is to stay in front of the secret `keep`. It is compiled when a text may have one."""

    hints: tuple[str, ...]
    """A text of the shape has one of these, in lower case; to look for them first is much faster."""
    pattern: str
    long: bool = False
    """No text shorter than SHORTEST_TOKEN has one."""

    def mask(self, text: str) -> str:
        return _compiled(self.pattern).sub(_masked, text)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


def _masked(found: re.Match[str]) -> str:
    return f"{found['keep'] or ''}{MASK}" if "keep" in found.re.groupindex else MASK


_KEY = (
    r"(?:api|private|secret|access|encryption|signing|master|account|shared[_-]?access|auth|deploy|client|service)"
    r"[_ -]?key"
)
_NAME = (
    rf"(?:passw(?:or)?d|passphrase|secret|token|{_KEY}|authorization|signature|credentials?|cookie|dsn"
    r"|client[_-]?id[_-]?secret)"
)
"""At the end of a name: of a setting, a header, a field."""
_QUOTE = r"(?:\\{0,8}[\"']|&quot;|&#3[49];|%2[27])"
_VALUE = r"[^\s&\"'<>]"
_LIKELY = r"(?=[^\s\"'<>]{0,80}[0-9])(?=[^\s\"'<>]{0,80}[A-Za-z])(?=[^\s\"'<>]{6})"
"""A digit and a letter, as ordinary words do not have."""
_CERTAIN = r"(?=[A-Za-z0-9_+/=.~\-]{16})(?=[A-Za-z0-9_+/=.~\-]{0,80}[0-9])(?=[A-Za-z0-9_+/=.~\-]{0,80}[A-Za-z])"
_NAME_HINTS = (
    *("passw", "passphrase", "secret", "token", "key", "authorization", "signature", "credential", "cookie", "dsn"),
)

_KEYS = Shape(
    ("private key", "ls0tls1crudjti"),
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|LS0tLS1CRUdJTi[A-Za-z0-9+/=_\-]+",  # the same in base64
)

_ANY, _HEX, _WORD = r"[A-Za-z0-9_\-]", r"[a-f0-9]", r"[A-Za-z0-9]"
_PREFIXES = {
    r"(?:gh[opsur]_|github_pat_)[A-Za-z0-9_.\-]+": ("gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_"),
    rf"gl(?:pat|dt|rt|rtr|cbt|ptt|ft|soat|imt|agent|oas|ffct|wt)-{_ANY}{{8,}}(?:\.{_ANY}{{2,40}}){{0,3}}": (
        *("glpat-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glsoat-", "glimt-", "glagent-"),
        *("gloas-", "glffct-", "glwt-"),
    ),
    rf"(?:xox[abceoprs](?:\.xox[bp])?-|xapp-|xwfp-){_ANY}{{8,}}": ("xox", "xapp-", "xwfp-"),
    rf"(?:[spr]k_(?:live|test)_|whsec_){_WORD}{_ANY}{{7,}}": ("k_live_", "k_test_", "whsec_"),
    rf"sk-(?:ant|proj|svcacct|admin|or)-{_ANY}{{8,}}|sk-{_WORD}{{20,}}": ("sk-",),
    r"A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}": ("akia", "asia", "abia", "acca"),
    rf"AIza{_ANY}{{35}}|ya29\.{_ANY}{{16,}}|GOCSPX-{_ANY}{{20,}}|1//0{_ANY}{{30,}}": (
        "aiza",
        "ya29.",
        "gocspx-",
        "1//0",
    ),
    rf"(?:npm|hf|rubygems|nfp|rnd|r8|gsk|ntn|napi|sbp|pnu|bkua|tfp)_{_WORD}{{24,}}|dapi{_HEX}{{32}}": (
        *("npm_", "hf_", "rubygems_", "nfp_", "rnd_", "r8_", "gsk_", "ntn_", "napi_", "sbp_", "pnu_", "bkua_", "tfp_"),
        "dapi",
    ),
    rf"(?:figd|glc|glsa|sb_secret|sntry[su]|lin_(?:api|oauth)|phx|lsv2_(?:pt|sk)|CCIPAT|ops)_{_ANY}{{20,}}": (
        *("figd_", "glc_", "glsa_", "sb_secret_", "sntrys_", "sntryu_", "lin_api_", "lin_oauth_", "phx_", "lsv2_"),
        *("ccipat_", "ops_"),
    ),
    rf"nvapi-{_ANY}{{20,}}": ("nvapi-",),
    rf"pypi-{_ANY}{{16,}}|dckr_[po]at_{_ANY}{{16,}}|CLOJARS_{_WORD}{{20,}}|cio{_WORD}{{32,}}": (
        *("pypi-", "dckr_", "clojars_", "cio"),
    ),
    rf"SG\.{_ANY}{{16,80}}\.{_ANY}{{16,}}|key-{_HEX}{{32}}|{_HEX}{{32}}-us[0-9]{{1,2}}|SK{_HEX}{{32}}": (
        *("sg.", "key-", "-us", "sk"),
    ),
    rf"shp(?:at|ca|pa|ss|tka)_{_WORD}{{16,}}|sq0(?:atp|csp|idp)-{_ANY}{{20,}}|EAAA{_ANY}{{50,}}": (
        *("shpat_", "shpca_", "shppa_", "shpss_", "shptka_", "sq0", "eaaa"),
    ),
    rf"do[oprt]_v1_{_HEX}{{32,}}|dp\.(?:pt|st|ct|sa|scim|audit)\.(?:{_ANY}{{2,35}}\.)?{_ANY}{{20,}}": (
        *("doo_v1_", "dop_v1_", "dor_v1_", "dot_v1_", "dp."),
    ),
    rf"AT(?:ATT3|CTT3|BB){_ANY}{{20,}}=?{_ANY}{{0,16}}|pat{_WORD}{{14}}\.{_HEX}{{40,}}|secret_{_WORD}{{40,}}": (
        *("atatt3", "atctt3", "atbb", "pat", "secret_"),
    ),
    rf"[MNO]{_ANY}{{23,27}}\.{_ANY}{{6}}\.{_ANY}{{27,}}|NR(?:AK|JS|II|RA)-{_ANY}{{20,}}|HRKU-{_ANY}{{20,}}": (
        *(".", "nrak-", "nrjs-", "nrii-", "nrra-", "hrku-"),
    ),
    rf"pscale_(?:tkn|pw|oauth)_{_ANY}{{16,}}|hv[sbr]\.{_ANY}{{20,}}": ("pscale_", "hvs.", "hvb.", "hvr."),
    rf"{_WORD}{{14}}\.atlasv1\.{_ANY}{{40,}}|pul-{_HEX}{{40}}": (".atlasv1.", "pul-"),
    rf"PMAK-{_ANY}{{20,}}|pplx-{_WORD}{{30,}}|xai-{_WORD}{{30,}}|tskey-{_ANY}{{16,}}|AGE-SECRET-KEY-1{_WORD}{{50,}}": (
        *("pmak-", "pplx-", "xai-", "tskey-", "age-secret-key-"),
    ),
    rf"re_{_WORD}{{8}}_{_WORD}{{16,}}|(?:fm2|fo1)_[A-Za-z0-9+/=_\-]{{30,}}|CFPAT-{_ANY}{{30,}}|sq[apu]_{_HEX}{{40}}": (
        *("re_", "fm2_", "fo1_", "cfpat-", "sqa_", "sqp_", "squ_"),
    ),
    rf"LTAI{_WORD}{{16,}}|AKCp{_WORD}{{60,}}|EZ[AT]K{_WORD}{{50,}}|y0_{_ANY}{{50,}}": (
        *("ltai", "akcp", "ezak", "eztk", "y0_"),
    ),
    rf"{_WORD}{{3}}[0-9]Q~[A-Za-z0-9_.~\-]{{30,}}": ("q~",),
    r"access_token\$(?:production|sandbox)\$[a-z0-9$]{20,}": ("access_token$",),
    rf"access-(?:production|sandbox|development)-{_ANY}{{30,}}": ("access-",),
    rf"eyJ{_ANY}{{8,}}(?:\.{_ANY}*){{0,4}}|sk\.eyJ{_ANY}{{8,}}(?:\.{_ANY}*)?": (
        "eyj",
    ),  # JSON web tokens, JSON in base64
}
_VENDORS = [Shape(hints, rf"(?<![A-Za-z0-9])(?:{pattern})", long=True) for pattern, hints in _PREFIXES.items()]

_ADDRESSES = Shape(
    ("://",),
    r"(?P<keep>https?://(?:"
    r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/|(?:ptb\.|canary\.)?discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/"
    r"|[a-z0-9\-]{1,63}\.webhook\.office\.com/|outlook\.office(?:365)?\.com/webhook/"
    r"|hooks\.zapier\.com/hooks/|hook\.(?:[a-z0-9]{1,8}\.)?make\.com/|maker\.ifttt\.com/trigger/"
    r"|events\.pagerduty\.com/integration/|chat\.googleapis\.com/v1/spaces/|alert\.victorops\.com/integrations/"
    r"|open\.(?:feishu\.cn|larksuite\.com)/open-apis/bot/v2/hook/|oapi\.dingtalk\.com/robot/send\?"
    r"|qyapi\.weixin\.qq\.com/cgi-bin/webhook/send\?|hc-ping\.com/|[a-z0-9.\-]{1,80}\.logic\.azure\.com/workflows/"
    r"|[a-z0-9.\-]{1,80}/hooks/(?=[a-z0-9]{26}\b)))[^\s\"'<>\\]+"
    r"|(?<=://)[^/\s?#\"'<>]{1,1024}(?=@)",  # user and password
)
_TELEGRAM = Shape(("/bot", ":aa"), rf"(?<=/bot)\d{{1,20}}:{_ANY}+|(?<!\d)\d{{8,10}}:AA{_ANY}{{30,}}", long=True)
_QUERY = Shape(
    ("?", "&"),
    r"(?P<keep>[?&](?ai:x-(?:amz|goog)-(?:signature|credential|security-token)|sig|signature|key|code|auth|apikey|pwd|pass)=)"
    rf"(?={_VALUE}{{6}}){_VALUE}+",
)

_QUOTED = Shape(
    _NAME_HINTS,
    rf"(?P<keep>(?ai:{_NAME})(?:{_QUOTE}\s{{0,4}}(?:=>|[:,])|\s{{0,4}}(?:=>|[=:]))\s{{0,4}}b?(?P<quote>{_QUOTE}))"
    r"(?:(?!(?P=quote))(?:\\.|[^\\\n])){4,500}(?=(?P=quote))",
)
"""Whatever is between the quotes: JSON, the text of a dict or of a list of headers, a setting."""
_ASSIGNED = Shape(
    (*_NAME_HINTS, "pass", "pwd", "bearer", "basic", "identified"),
    r"(?P<keep>"
    r"(?ai:bearer)\s{1,8}(?=\S{8})"
    r"|(?ai:basic)\s{1,8}(?=\S{0,200}[0-9A-Z=])(?=\S{8})"  # base64, not the word "basic" in a sentence
    rf"|(?ai:{_NAME})(?:\s{{0,4}}(?:=>|:=|=)\s{{0,4}}|%3[Dd])[\"']?(?={_VALUE}{{4}})"  # a query, a form, a setting
    rf"|(?ai:[_\-]pass|pwd)\s?=\s?[\"']?(?={_VALUE}{{4}})"
    rf"|(?ai:{_NAME}){_QUOTE}\s{{0,4}}(?:=>|[:,])\s{{0,4}}b?{_QUOTE}"
    rf"|(?ai:passw(?:or)?d|passphrase|{_KEY}):[ \t]{{1,8}}(?=[^\s\"']{{6}})"  # YAML
    rf"|(?ai:{_NAME}):[ \t]{{0,8}}{_LIKELY}"
    rf"|(?ai:(?:x-|access-)[a-z\-]{{0,40}}(?:{_NAME})[a-z0-9\-]{{0,20}}|authorization):[ \t]{{0,8}}"  # a header
    r"(?:(?ai:bearer|basic|token|digest|apikey)\s{1,4})?(?=\S)"
    rf"|(?<!\S)--?[a-zA-Z\-]{{0,40}}(?ai:{_NAME})[ \t]{{1,8}}[\"']?(?=[^\s\"'\-]{_VALUE}{{3}})"  # a flag
    rf"|(?ai:{_NAME})[ \t]{{1,4}}(?:(?ai:is|was)[ \t]{{1,4}})?[\"'`]?{_CERTAIN}"  # in a sentence
    rf"|(?ai:login)[ \t]{{1,4}}\S{{1,100}}[ \t]{{1,4}}(?ai:password)[ \t]{{1,4}}"  # .netrc
    rf"|(?ai:identified[ \t]{{1,4}}by)[ \t]{{1,4}}[\"']"  # SQL
    rf"|<(?ai:[a-z:_\-]{{0,40}}{_NAME})>(?=[^<\s]{{4}})"  # XML
    rf")[^\s&\"'<>]+",
)
_COOKIES = Shape(("cookie",), r"(?P<keep>(?ai:(?:set-)?cookie2?):[ \t]{0,8})(?=[^\r\n]{0,200}=)[^\r\n\"']+")
_SIGN_IN = Shape(
    ("-u", "--user"),
    r"(?P<keep>(?<!\S)(?:-u|--(?:proxy-)?user)[ \t=]{0,4}[\"']?[^\s:\"']{1,100}:)(?=[^\s\"'/:]{4})[^\s\"']+",
)

CERTAIN = (_KEYS, *_VENDORS, _ADDRESSES, _TELEGRAM)
"""What is a secret by itself, whatever stands around it."""
SHAPES = (*CERTAIN, _QUERY, _COOKIES, _QUOTED, _ASSIGNED, _SIGN_IN)
"""In the order in which they are masked."""
_HINTS = tuple((hint, target_config) for target_config, shape in enumerate(SHAPES) for hint in shape.hints)
_SHORT_HINTS = tuple((hint, target_config) for hint, target_config in _HINTS if not SHAPES[target_config].long)


def mask_shapes(text: str) -> str:
    """Everything in the text that looks like a secret, masked."""
    folded = text.casefold()
    hints = _HINTS if len(folded) >= SHORTEST_TOKEN else _SHORT_HINTS
    for target_config in sorted({target_config for hint, target_config in hints if hint in folded}):
        text = SHAPES[target_config].mask(text)
    return text
