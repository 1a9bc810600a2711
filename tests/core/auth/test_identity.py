"""What the claims of a token say about whom it was issued to."""

import pytest

from jobbergate_server.auth.identity import Identity, InvalidToken


def test_a_token_with_a_subject_alone_is_an_identity_that_may_do_nothing() -> None:
    assert Identity.from_claims({"sub": "someone"}) == Identity("someone", frozenset())


def test_all_claims_are_taken_over() -> None:
    claims = {
        "sub": "someone",
        "permissions": ["a:read", "a:write", "a:read"],
        "email": "someone@example.com",
        "azp": "portal",
        "organization": {"acme": {"name": "Acme"}},
        "scope": "openid",
    }
    assert Identity.from_claims(claims) == Identity(
        "someone", frozenset({"a:read", "a:write"}), "someone@example.com", "portal", "acme"
    )


@pytest.mark.parametrize("claims", [{}, {"sub": None}, {"sub": ""}, {"sub": 7}, {"sub": ["someone"]}, {"sub": True}])
def test_a_token_without_a_subject_is_refused(claims: dict[str, object]) -> None:
    with pytest.raises(InvalidToken, match=r'^claim "sub" '):
        Identity.from_claims(claims)


@pytest.mark.parametrize("permissions", [None, "a:read", {"a:read": True}, ["a:read", 1], [None], [["a:read"]], 0])
def test_permissions_that_are_no_list_of_texts_are_refused(permissions: object) -> None:
    with pytest.raises(InvalidToken, match=r'^claim "permissions" '):
        Identity.from_claims({"sub": "someone", "permissions": permissions})


ROLES_OF_CLIENT = ("resource_access", "https://jobbergate.example.com", "roles")


def of_client(roles: object) -> dict[str, object]:
    """The claims of a token of Keycloak, with ``roles`` of the client of `ROLES_OF_CLIENT`."""
    return {"sub": "someone", "resource_access": {"account": {"roles": ["x"]}, ROLES_OF_CLIENT[1]: {"roles": roles}}}


def test_permissions_are_read_from_where_the_settings_say() -> None:
    claims = {**of_client(["a:read", "a:write"]), "permissions": ["a:delete"]}
    identity = Identity.from_claims(claims, permissions_claim=ROLES_OF_CLIENT)
    assert identity.permissions == {"a:read", "a:write"}


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"resource_access": {}},
        {"resource_access": {"account": {"roles": ["x"]}}},
        {"resource_access": {ROLES_OF_CLIENT[1]: {}}},
    ],
)
def test_a_key_that_is_missing_on_the_way_to_the_permissions_means_none(claims: dict[str, object]) -> None:
    assert Identity.from_claims({"sub": "someone", **claims}, permissions_claim=ROLES_OF_CLIENT).permissions == set()


@pytest.mark.parametrize("roles", [None, "a:read", {"a:read": True}, ["a:read", 1], 0])
def test_nested_permissions_that_are_no_list_of_texts_are_refused(roles: object) -> None:
    with pytest.raises(InvalidToken) as refusal:
        Identity.from_claims(of_client(roles), permissions_claim=ROLES_OF_CLIENT)
    assert (
        str(refusal.value) == 'claim "resource_access.https://jobbergate.example.com.roles" must be a list of strings'
    )


@pytest.mark.parametrize("on_the_way", [None, "roles", ["roles"], 7, True])
def test_what_is_no_object_on_the_way_to_the_permissions_is_refused(on_the_way: object) -> None:
    claims = {"sub": "someone", "resource_access": {ROLES_OF_CLIENT[1]: on_the_way}}
    with pytest.raises(InvalidToken) as refusal:
        Identity.from_claims(claims, permissions_claim=ROLES_OF_CLIENT)
    assert str(refusal.value) == 'claim "resource_access.https://jobbergate.example.com" must be an object'


def test_a_role_stands_for_its_permissions_and_any_other_name_for_itself() -> None:
    roles = {"staff": ["a:read", "a:write"], "guest": ["a:read"], "nobody": []}
    claims = {"sub": "someone", "permissions": ["staff", "guest", "nobody", "b:read", "offline_access"]}
    assert Identity.from_claims(claims, roles=roles).permissions == {"a:read", "a:write", "b:read", "offline_access"}


def test_a_role_is_not_looked_up_twice() -> None:
    roles = {"staff": ["admin"], "admin": ["a:write"]}
    assert Identity.from_claims({"sub": "someone", "permissions": ["staff"]}, roles=roles).permissions == {"admin"}


@pytest.mark.parametrize(
    ("claim", "email"),
    [
        (None, None),
        ("someone@example.com", "someone@example.com"),
        ("MiXed@Example.COM", "MiXed@example.com"),
        ("POSTMASTER@Example.COM", "POSTMASTER@example.com"),
        ("local-user@jobbergate.local", "local-user@jobbergate.local"),
        ("root@localhost", "root@localhost"),
        ("jürgen@Bücher.example", "jürgen@bücher.example"),
    ],
)
def test_only_the_domain_of_an_email_is_lower_cased(claim: object, email: str | None) -> None:
    assert Identity.from_claims({"sub": "someone", "email": claim}).email == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        " ",
        "someone",
        "@example.com",
        "someone@",
        "a@b@c",
        "a b@example.com",
        "a@example.com\n",
        "a@\ud800.com",
        7,
        [],
    ],
)
def test_an_email_that_is_none_is_refused(email: object) -> None:
    with pytest.raises(InvalidToken, match=r'^claim "email" '):
        Identity.from_claims({"sub": "someone", "email": email})


@pytest.mark.parametrize(
    ("claims", "client_id"), [({}, None), ({"azp": ""}, None), ({"azp": None}, None), ({"azp": "Agent"}, "Agent")]
)
def test_the_authorized_party_is_the_client_id(claims: dict[str, object], client_id: str | None) -> None:
    assert Identity.from_claims({"sub": "someone", **claims}).client_id == client_id


@pytest.mark.parametrize("azp", ["x" * 256, "a\0b", "a\ud800", 7, ["portal"], {}, True])
def test_an_authorized_party_that_is_no_text_is_refused(azp: object) -> None:
    with pytest.raises(InvalidToken, match=r'^claim "azp" '):
        Identity.from_claims({"sub": "someone", "azp": azp})


@pytest.mark.parametrize(
    ("claim", "organization"), [(None, None), ({"acme": None}, "acme"), ({"acme": {}}, "acme"), (["acme"], "acme")]
)
def test_the_only_key_or_text_of_the_organization_is_its_id(claim: object, organization: str | None) -> None:
    assert Identity.from_claims({"sub": "someone", "organization": claim}).organization == organization


@pytest.mark.parametrize(
    "claim",
    [
        {},
        {"acme": {}, "umbrella": {}},
        [],
        ["acme", "umbrella"],
        ["acme", "acme"],
        [None],
        [{"acme": {}}],
        "a",
        7,
        False,
    ],
)
def test_an_organization_that_is_not_exactly_one_is_refused(claim: object) -> None:
    with pytest.raises(InvalidToken) as refusal:
        Identity.from_claims({"sub": "someone", "organization": claim})
    assert str(refusal.value) == (
        'claim "organization" must be an object with exactly one key or a list with exactly one string'
    )


def test_the_reason_of_a_refusal_holds_nothing_of_the_token() -> None:
    with pytest.raises(InvalidToken) as refusal:
        Identity.from_claims({"sub": "someone", "email": "secret value"})
    assert "secret" not in str(refusal.value)
    assert refusal.value.__suppress_context__
