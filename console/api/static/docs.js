SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#description",
  deepLinking: true,
  defaultModelsExpandDepth: -1,
  validatorUrl: null,
});
