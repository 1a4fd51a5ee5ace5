// The images along a line that was dragged over the map.

const ALONG = 16;

class Line {
  constructor(app) {
    this.app = app;
    this.section = document.getElementById("strip");
    this.canvas = document.getElementById("strip-images");
    document.getElementById("strip-close").onclick = () => this.close();
    document.getElementById("strip-save").onclick = () =>
      this.canvas.toBlob((blob) => download("line.png", blob, "image/png"));
  }

  close() {
    this.section.hidden = true;
    this.app.view.marks = [];
    this.app.view.redraw();
  }

  // Decode places evenly spread from one place of the plane to another.
  async show(from, to) {
    const { app, canvas } = this;
    const codes = Array.from({ length: ALONG }, (_, i) => {
      const share = i / (ALONG - 1);
      return app.codeAt(from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1]));
    });
    const images = await Promise.all(codes.map((code) => app.network.decode(code)));
    const { height, width, lines } = app.image;
    const [h, w] = lines ? [32, 48] : [height, width];
    const zoom = Math.max(1, Math.round(64 / Math.max(h, w)));
    const gap = 2;
    canvas.width = ALONG * (w * zoom + gap) - gap;
    canvas.height = h * zoom;
    const one = document.createElement("canvas");
    [one.width, one.height] = [w * zoom, h * zoom];
    images.forEach((pixels, i) => {
      drawPixels(one, pixels, app.image);
      canvas.getContext("2d").drawImage(one, i * (w * zoom + gap), 0);
    });
    this.section.hidden = false;
  }
}
