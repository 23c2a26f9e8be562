"""Products of the older flash deals API: put on sale, list, read, change, count (WIRE.md, section 1)."""

from decimal import Decimal
from functools import cache, partial
from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr

from holdfast.catalogue.products import stock, terms
from holdfast.catalogue.products.stock import NewProduct
from holdfast.claims.terms import Terms, terms_of
from holdfast.platform import http
from holdfast.platform.clock import to_text
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import CurrencyNotUsed, Fault, Malformed, ProductNotFound, StockBelowCommitted
from holdfast.platform.fields import Currency, DecimalNumber, Moment, Money, OptionalKey, ProductInPath, ShownProductId
from holdfast.platform.items import ProductItem
from holdfast.platform.money import from_minor, price_of
from holdfast.platform.settings import ProductsSettings, settings
from holdfast.platform.tables import id_of
from holdfast.reservations.engine import Engine
from holdfast.reservations.idempotency import KeyedRequest, hash_of

app = APIGatewayRestResolver(
    enable_validation=True, response_validation_error_http_code=500, json_body_deserializer=http.read_body
)

ProductName = Annotated[StrictStr, Field(min_length=1, max_length=200, examples=["Laptop"])]
ProductText = Annotated[StrictStr, Field(max_length=4_000, examples=["14 inches, 32 GB."])]
ProductStock = Annotated[
    StrictInt, Field(ge=0, le=10_000_000, description="Units in all: free, held and sold.", examples=[200])
]
ProductMost = Annotated[
    StrictInt, Field(ge=1, le=10_000, description="Units one user may hold and buy together.", examples=[2])
]


class ProductBody(BaseModel):
    """A product to put on sale."""

    name: ProductName
    description: ProductText | None = None
    total_stock: ProductStock
    price: Money | None = Field(None, description="Price of one; nothing means free.", examples=["19.99"])
    currency: Currency | None = None
    max_per_user: ProductMost | None = None
    expected_peak_per_second: Annotated[StrictInt, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="Reserves a second to plan for; decides over how many counters the stock is spread.",
        examples=[500],
    )


class ProductPatchBody(BaseModel):
    """What to change of a product; what is left out stays, and null takes a limit or a description away."""

    name: ProductName | None = None
    description: ProductText | None = None
    total_stock: ProductStock | None = None
    price: Money | None = Field(None, examples=["19.99"])
    currency: Currency | None = None
    max_per_user: ProductMost | None = None
    on_sale: StrictBool | None = Field(None, examples=[True])


class ProductData(BaseModel):
    """A product."""

    id: ShownProductId
    name: ProductName
    description: ProductText | None
    total_stock: ProductStock
    price: DecimalNumber
    currency: Currency
    max_per_user: ProductMost | None
    on_sale: bool = Field(examples=[True])
    created_at: Moment
    updated_at: Moment


class ProductAnswer(BaseModel):
    """A product, in the older envelope."""

    success: Literal[True] = True
    data: ProductData
    message: str = Field(examples=["Product."])


class ProductsAnswer(BaseModel):
    """Products, in the older envelope; `next` is the id to go on after, null at the end."""

    success: Literal[True] = True
    data: list[ProductData]
    message: str = Field(examples=["Products."])
    next: str | None = Field(examples=[None])


class ProductStatusData(BaseModel):
    """A product's units: total = available + reserved + sold."""

    id: ShownProductId
    name: ProductName
    total_stock: ProductStock
    reserved_stock: int = Field(examples=[3])
    available_stock: int = Field(examples=[190])
    sold_stock: int = Field(examples=[7])


class ProductStatusAnswer(BaseModel):
    """A product's units, in the older envelope."""

    success: Literal[True] = True
    data: ProductStatusData
    message: str = Field(examples=["Units."])


@cache
def engine() -> Engine:
    """Return this warm function's engine."""
    return Engine(connect(settings(ProductsSettings).table_name))


@app.post(
    "/api/products",
    status_code=201,
    tags=["products"],
    summary="Put a product on sale",
    responses=http.answers(201, "The product is on sale.", CurrencyNotUsed),
)
def create(
    body: ProductBody,
    idempotency_key: OptionalKey = None,
) -> ProductAnswer:
    """Put stock on sale; the product's id is the next number of its tenant."""
    caller = http.caller_of(app)
    currency = caller.policy.currency_of(body.currency, settings(ProductsSettings).default_currency)
    product = NewProduct(
        name=body.name,
        description=body.description,
        total_stock=body.total_stock,
        price_minor=price_of(body.price or Decimal(), currency, "price"),
        currency=currency,
        max_per_user=body.max_per_user,
        expected_peak=body.expected_peak_per_second,
    )
    keyed = None
    if idempotency_key is not None:
        body_hash = hash_of(body.model_dump(mode="json"))
        keyed = KeyedRequest(caller.tenant, caller.name, "products", idempotency_key, body_hash)
    return ProductAnswer(data=_shaped(stock.create(engine(), caller.tenant, product, keyed)), message="Created.")


@app.get(
    "/api/products",
    tags=["products"],
    summary="List products",
    responses=http.answers(200, "A page of the list."),
)
def list_all(
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 1000,
    after: Annotated[
        str | None, Query(pattern=r"^[A-Za-z0-9_]{1,40}$", description="`next` of the page before.")
    ] = None,
) -> ProductsAnswer:
    """List products in the order of their ids."""
    products, following = stock.list_all(engine(), http.caller_of(app).tenant, limit, after)
    return ProductsAnswer(data=[_shaped(product) for product in products], message="Products.", next=following)


@app.get(
    "/api/products/<product_id>",
    tags=["products"],
    summary="Read a product",
    responses=http.answers(200, "The product.", ProductNotFound),
)
def read(product_id: ProductInPath) -> ProductAnswer:
    """Read one product."""
    return ProductAnswer(data=_shaped(stock.get(engine(), http.caller_of(app).tenant, product_id)), message="Product.")


@app.patch(
    "/api/products/<product_id>",
    tags=["products"],
    summary="Restock, reprice or rename",
    responses=http.answers(200, "The product, changed.", CurrencyNotUsed, ProductNotFound, StockBelowCommitted),
)
def change(product_id: ProductInPath, body: ProductPatchBody) -> ProductAnswer:
    """Change what is given; answers when every counter has the new price. What is held keeps its price."""
    caller = http.caller_of(app)
    caller.policy.must_use(body.currency)
    rewritten = partial(_rewritten, body)
    rewritten(terms_of(stock.get(engine(), caller.tenant, product_id)))
    if body.total_stock is not None:
        stock.set_total(engine(), caller.tenant, product_id, body.total_stock)
    terms.change(engine(), caller.tenant, product_id, rewritten)
    if body.name is not None:
        terms.rename(engine(), caller.tenant, product_id, body.name)
    if "description" in body.model_fields_set:
        terms.describe(engine(), caller.tenant, product_id, body.description)
    return ProductAnswer(data=_shaped(stock.get(engine(), caller.tenant, product_id)), message="Changed.")


@app.get(
    "/api/products/<product_id>/status",
    tags=["products"],
    summary="Count a product's units",
    responses=http.answers(200, "The units, exactly.", ProductNotFound),
)
def status(product_id: ProductInPath) -> ProductStatusAnswer:
    """Count free, held and sold units, exactly."""
    counted = stock.count(engine(), http.caller_of(app).tenant, product_id)
    data = ProductStatusData(
        id=product_id,
        name=counted.name,
        total_stock=counted.total,
        reserved_stock=counted.held,
        available_stock=counted.available,
        sold_stock=counted.sold,
    )
    return ProductStatusAnswer(data=data, message="Units.")


def _rewritten(body: ProductPatchBody, old: Terms) -> Terms:
    """Return `old` with what `body` changes of it; raises Malformed for a price that the currency cannot have."""
    currency = body.currency or old.currency
    if currency != old.currency and body.price is None:
        raise Malformed(faults=[Fault("price", "A new currency needs a price in it.", "missing")])
    return old._replace(
        price_minor=old.price_minor if body.price is None else price_of(body.price, currency, "price"),
        currency=currency,
        on_sale=old.on_sale if body.on_sale is None else body.on_sale,
        max_per_user=body.max_per_user if "max_per_user" in body.model_fields_set else old.max_per_user,
    )


def _shaped(product: ProductItem) -> ProductData:
    return ProductData(
        id=id_of(product.key),
        name=product.name,
        description=product.description,
        total_stock=product.total_stock,
        price=from_minor(product.price_minor, product.currency),
        currency=product.currency,
        max_per_user=product.max_per_user,
        on_sale=product.on_sale,
        created_at=to_text(product.created_at),
        updated_at=to_text(product.updated_at),
    )


handler = http.entry(app)
