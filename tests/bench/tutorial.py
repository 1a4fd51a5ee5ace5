"""The tutorial's program: TensorFlow 1's graph, 50 epochs on MNIST; prints the test MSE."""

from itertools import pairwise
from typing import Any


def build(hidden: tuple[int, ...]) -> tuple[Any, Any, Any, Any]:
    """Return session, placeholder, training operation and cost."""
    import tensorflow.compat.v1 as tf

    tf.disable_eager_execution()
    images = values = tf.placeholder(tf.float32, [None, 784])
    widths = (784, *hidden, 2, *reversed(hidden), 784)
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        weight = tf.Variable(tf.random_normal([inputs, outputs]))
        bias = tf.Variable(tf.random_normal([outputs]))
        values = tf.add(tf.matmul(values, weight), bias)
        if index != len(hidden):
            values = tf.nn.sigmoid(values)
    cost = tf.reduce_mean(tf.pow(images - values, 2))
    train = tf.train.AdamOptimizer(0.001).minimize(cost)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session, images, train, cost


def main() -> None:
    """Train and print."""
    from .networks import CLASSIC, unit_pixels

    images = unit_pixels()
    session, placeholder, train, cost = build(CLASSIC)
    for epoch in range(50):
        for start in range(0, len(images) - 255, 256):
            batch = images[start : start + 256]
            _, loss = session.run([train, cost], {placeholder: batch})
        print(epoch + 1, loss)
    print("test mse", session.run(cost, {placeholder: unit_pixels("test")}))


if __name__ == "__main__":
    main()
