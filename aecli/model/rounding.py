"""Products of operands rounded to bfloat16, with sums in float32."""

import jax
import jax.numpy as jnp
from jax import lax

_ROWS, _COLUMNS = (((1,), (0,)), ((), ())), (((1,), (1,)), ((), ()))
_OUTER = (((0,), (0,)), ((), ()))


@jax.custom_vjp
def rounded_product(values: jax.Array, kernel: jax.Array) -> jax.Array:
    """Return values, float32 (n, i), times a kernel, float32 (i, o): float32 (n, o).

    Both are rounded to bfloat16, 8 bits of each number, and so are the operands of the products of
    the gradients; all sums are float32, and so is what the optimizer gets. jax's own rule would
    round the gradients too. Source: Kalamkar et al., *A study of bfloat16 for deep learning
    training* (2019).
    """
    return _product(_rounded(values), _rounded(kernel), _ROWS)


def _forward(values: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    operands = _rounded(values), _rounded(kernel)
    return _product(*operands, _ROWS), operands


def _backward(
    operands: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    values, kernel = operands
    rounded = _rounded(gradient)
    return _product(rounded, kernel, _COLUMNS), _product(values, rounded, _OUTER)


rounded_product.defvjp(_forward, _backward)


def _rounded(values: jax.Array) -> jax.Array:
    return values.astype(jnp.bfloat16)


def _product(one: jax.Array, other: jax.Array, axes: lax.DotDimensionNumbers) -> jax.Array:
    return lax.dot_general(one, other, axes, preferred_element_type=jnp.float32)
