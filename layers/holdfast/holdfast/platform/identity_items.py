"""The items of the identity table: tenants, people, accounts and keys. Their keys are made in `platform.tables`."""

from pynamodb.attributes import BooleanAttribute, UnicodeAttribute, UnicodeSetAttribute

from holdfast.platform.items import IntegerAttribute, Item


class TenantItem(Item):
    """A tenant; `status` is open or suspended. `settings` is the JSON text of what it has set."""

    name = UnicodeAttribute()
    status = UnicodeAttribute()
    settings = UnicodeAttribute()
    version = IntegerAttribute()
    created_at = IntegerAttribute()
    updated_at = IntegerAttribute()


class TenantEntryItem(Item):
    """The place of a tenant in the operators' list; the tenant itself says everything else."""

    tenant_id = UnicodeAttribute()


class PersonItem(Item):
    """Somebody the tenant knows: by phone, by an account, or both.

    With an account (`has_account`) the user signs in with the `email`; tokens of sign-ins up to `signed_out_at` (ms)
    are dead.
    """

    user_id = UnicodeAttribute()
    name = UnicodeAttribute(null=True)
    phone = UnicodeAttribute(null=True)
    email = UnicodeAttribute(null=True)
    role = UnicodeAttribute()
    has_account = BooleanAttribute(null=True)
    signed_out_at = IntegerAttribute(null=True)
    version = IntegerAttribute()
    created_at = IntegerAttribute()
    updated_at = IntegerAttribute()


class PhoneItem(Item):
    """Whose phone a number is."""

    user_id = UnicodeAttribute()


class EmailItem(Item):
    """Whose account an e-mail address signs in to.

    `code_sent_at` (ms) is when they last asked, by this address, for a code to choose another password by.
    """

    user_id = UnicodeAttribute()
    code_sent_at = IntegerAttribute(null=True)


class SignUpItem(Item):
    """A sign-up that waits to be confirmed, by the id that the user will have."""

    email = UnicodeAttribute()
    name = UnicodeAttribute(null=True)
    created_at = IntegerAttribute()
    ttl = IntegerAttribute()


class SessionItem(Item):
    """A sign-in that may be refreshed, kept by the digest of its refresh token.

    `signed_out_at` is that of the person as they signed in: once the person's is another, the session is over.
    """

    user_id = UnicodeAttribute()
    started_at = IntegerAttribute()
    signed_out_at = IntegerAttribute(null=True)
    ttl = IntegerAttribute()


class AttemptsItem(Item):
    """How often something was tried in one stretch of time."""

    tried = IntegerAttribute()
    ttl = IntegerAttribute()


class ServiceKeyItem(Item):
    """A service key: only the hash of its secret is kept, as the item's sort key.

    One that was rotated is good until `expires_at` (ms), and says which key is in its place (`replaced_by`, an id).
    Without `scopes` it may do what its roles may.
    """

    label = UnicodeAttribute()
    roles = UnicodeSetAttribute()
    scopes = UnicodeSetAttribute(null=True)
    created_by = UnicodeAttribute(null=True)
    created_at = IntegerAttribute()
    expires_at = IntegerAttribute(null=True)
    replaced_by = UnicodeAttribute(null=True)
    ttl = IntegerAttribute(null=True)
