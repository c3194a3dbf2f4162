"""Two voices of Meridian Air as training examples, and the parts that they are written from."""
